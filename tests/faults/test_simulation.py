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
        assert result.breaches == [], f"again: python -m tests.faults.sim --seed {seed}"


def test_a_seed_tells_the_same_story_every_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    stories: list[list[str]] = [[], []]
    results = [Simulation(7, story.append).run() for story in stories]
    assert stories[0] == stories[1]
    assert results[0] == results[1]
    assert results[0].faults > 0
