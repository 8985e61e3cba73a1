"""Whichever process dies at whichever call: nothing is lost, nothing is done twice."""

from __future__ import annotations

import logging
from itertools import islice

import pytest

from tests.faults.matrix import CASES, points, undisturbed
from tests.faults.scenarios import Scenario
from tests.sizes import SHARES

EACH_CASE = pytest.mark.parametrize(
    ("scenario", "relay"),
    [pytest.param(*case, id=f"{case[0].name}-{'with' if case[1] else 'without'} relay") for case in CASES],
)


@EACH_CASE
def test_a_scenario_without_a_fault_ends_as_it_should(scenario: Scenario, relay: bool) -> None:
    assert undisturbed(scenario, relay).breaches() == []


@pytest.mark.parametrize("step", SHARES)
@EACH_CASE
def test_the_invariants_hold_after_a_fault_at_any_call(
    scenario: Scenario, relay: bool, step: int, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.CRITICAL)
    mine = list(islice(points(scenario, relay), 0, None, step))
    for point in mine:
        assert point.breaches() == [], point
    with capsys.disabled():
        print(f"\n{len(mine):6} points: {scenario.name}, {'with' if relay else 'without'} relay", end=" ")  # noqa: T201
