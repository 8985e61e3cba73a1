"""The figures of a run find their places in the page about performance."""

from __future__ import annotations

from typing import Any

import pytest

from bench.page import PAGE, fill
from scripts.console import CommandError

PARTS = (
    "api",
    "pipeline",
    "order-cost",
    "counted",
    "contention",
    "growth",
    "consumer-loop",
    "start-up",
    "flash-sale",
)
PLACE = "Before.\n<!-- results: api -->\nold\n<!-- end -->\nAfter.\n"
FIGURE = {"name": "p50", "value": 1.234, "unit": "ms", "target": "≤ 1", "met": False}


def _part(**changes: Any) -> dict[str, Any]:
    part = {"date": "2026-01-31", "commit": "abc", "quick": False, "figures": [FIGURE], "notes": ["a note"]}
    return {**part, **changes}


def test_a_place_is_written_anew_and_all_else_stays() -> None:
    filled = fill(PLACE, {"api": _part()})
    assert filled.startswith("Before.\n<!-- results: api -->\n")
    assert filled.endswith("<!-- end -->\nAfter.\n")
    assert "old" not in filled
    assert "| p50 | 1.23 ms | ≤ 1 | **missed** |" in filled
    assert "`python -m bench api`, 2026-01-31, commit abc" in filled
    assert fill(filled, {"api": _part()}) == filled


@pytest.mark.parametrize("parts", [{}, {"api": _part(quick=True)}], ids=["never run", "run quickly"])
def test_what_was_not_measured_says_so(parts: dict[str, Any]) -> None:
    assert "Not measured yet: `python -m bench api`" in fill(PLACE, parts)


def test_missed_targets_are_listed() -> None:
    place = PLACE.replace("api", "missed")
    assert "- api: p50 is 1.23 ms, target ≤ 1" in fill(place, {"api": _part()})
    assert "Every target" in fill(place, {"api": _part(figures=[{**FIGURE, "met": True}])})


def test_a_page_without_a_place_is_no_page_for_results() -> None:
    with pytest.raises(CommandError, match="has no place"):
        fill("Nothing.", {})


@pytest.mark.parametrize("part", ["missed", *PARTS])
def test_the_page_has_a_place_for_every_part(part: str) -> None:
    assert f"<!-- results: {part} -->" in PAGE.read_text()
