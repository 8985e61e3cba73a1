"""Whoever is away for longer than the queues keep messages: nothing is lost but what only the audit log was to have."""

from __future__ import annotations

import logging

import pytest

from tests.faults.away import Absence, WrongClock, absences, wrong_clocks


@pytest.mark.parametrize("absence", list(absences()), ids=str)
def test_an_order_ends_though_sqs_has_deleted_every_copy_of_its_event(
    absence: Absence, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    assert absence.breaches() == []


@pytest.mark.parametrize("clock", list(wrong_clocks()), ids=str)
def test_an_order_whose_clock_was_days_off_is_finished_by_the_relay_too(
    clock: WrongClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    assert clock.breaches() == []
