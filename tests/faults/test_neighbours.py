"""One order cannot hurt another, whatever goes wrong with it and however long."""

from __future__ import annotations

import logging

import pytest

from tests.faults.neighbours import SpoiledRow, cases, spoiled_rows
from tests.sizes import full

PARTS = 4


@pytest.mark.parametrize(
    ("first", "step"), [(0, 11), *(pytest.param(part, PARTS, marks=full) for part in range(PARTS))]
)
def test_the_neighbours_of_an_order_with_a_fault_finish_soon(
    first: int, step: int, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.CRITICAL)
    mine = list(cases())[first::step]
    for case in mine:
        assert case.breaches() == [], case
    with capsys.disabled():
        print(f"\n{len(mine):6} faults of one order, its neighbours finish", end=" ")  # noqa: T201


@pytest.mark.parametrize("spoiled", list(spoiled_rows()), ids=str)
def test_the_neighbours_of_a_row_that_cannot_be_read_finish_soon(
    spoiled: SpoiledRow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    assert spoiled.breaches() == []
