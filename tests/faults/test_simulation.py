"""A thousand storms, each decided by its seed: nothing is lost, nothing is done twice."""

from __future__ import annotations

import logging

import pytest

from tests.faults.simulation import Simulation
from tests.sizes import full

CHUNK = 50
QUICK = range(0, 200, CHUNK)
SEEDS = range(200, 1000, CHUNK)


@pytest.mark.parametrize("first", [*QUICK, *(pytest.param(first, marks=full) for first in SEEDS)])
def test_the_invariants_hold_after_any_storm(first: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    for seed in range(first, first + CHUNK):
        result = Simulation(seed).run()
        assert result.breaches == [], f"again: python -m tests.faults.simulation --seed {seed}"


def test_a_seed_repeats_the_whole_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    first: list[str] = []
    again: list[str] = []
    result = Simulation(7, first.append).run()
    assert Simulation(7, again.append).run() == result
    assert again == first
    assert result.faults > 0
