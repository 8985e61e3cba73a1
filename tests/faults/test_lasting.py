"""However long one order has a fault, the other orders finish. However long a service is away, no order is lost."""

from __future__ import annotations

import logging

import pytest

from tests.faults.lasting import absences, cases, damaged_rows, wrong_clocks
from tests.faults.verdict import Trial
from tests.sizes import full

PARTS = 4


@pytest.fixture(autouse=True)
def _without_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize(
    ("first", "step"), [(0, 11), *(pytest.param(part, PARTS, marks=full) for part in range(PARTS))]
)
def test_the_neighbours_of_an_order_with_a_fault_finish_soon(
    first: int, step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = list(cases())[first::step]
    for case in mine:
        assert case.breaches() == [], case
    with capsys.disabled():
        print(f"\n{len(mine):6} faults of one order, its neighbours finish", end=" ")  # noqa: T201


@pytest.mark.parametrize("damage", list(damaged_rows()), ids=str)
def test_the_neighbours_of_a_row_that_cannot_be_read_finish_soon(damage: Trial) -> None:
    assert damage.breaches() == []


@pytest.mark.parametrize("absence", list(absences()), ids=str)
def test_an_order_ends_although_sqs_has_deleted_every_copy_of_its_event(absence: Trial) -> None:
    assert absence.breaches() == []


@pytest.mark.parametrize("clock", list(wrong_clocks()), ids=str)
def test_the_relay_finishes_an_order_that_a_wrong_clock_dated(clock: Trial) -> None:
    assert clock.breaches() == []
