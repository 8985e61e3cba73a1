"""Throughput and times to complete, from when orders were accepted and finished. Pure; all times in milliseconds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shopflow.domain.order import Order
from shopflow.domain.times import to_text

MINUTE_MS = 60_000
WINDOW_MINUTES = 10


@dataclass(frozen=True, slots=True)
class Finish:
    """An order that has nothing left undone: when that was, and how long it took from its acceptance."""

    at_ms: int
    took_ms: int


def finish_of(order: Order) -> Finish | None:
    """When ``order`` was finished, with its customer told and the stock of a failed payment released; None: not yet."""
    if order.opened_at is not None or order.notified_at is None:
        return None
    at_ms = max(order.notified_at, order.released_at or 0)
    return Finish(at_ms, max(0, at_ms - order.created_at))


def window_start(now: int) -> int:
    """The beginning of the first of the window's minutes; the last one is the minute that ``now`` is in."""
    return now - now % MINUTE_MS - (WINDOW_MINUTES - 1) * MINUTE_MS


def percentile(ascending: Sequence[int], percent: int) -> int | None:
    """The smallest value that ``percent`` (1-100) of all are not above (nearest rank); None of no values."""
    return ascending[math.ceil(len(ascending) * percent / 100) - 1] if ascending else None


def summary(accepted: Iterable[int], finishes: Iterable[Finish], now: int) -> dict[str, Any]:
    """What the operator sees of the window: ``accepted`` is when each order was."""
    start = window_start(now)
    accepted_in: list[int] = [0] * WINDOW_MINUTES
    took_in: list[list[int]] = [[] for _ in range(WINDOW_MINUTES)]
    for at_ms in accepted:
        if 0 <= (minute := (at_ms - start) // MINUTE_MS) < WINDOW_MINUTES:
            accepted_in[minute] += 1
    for finish in finishes:
        if 0 <= (minute := (finish.at_ms - start) // MINUTE_MS) < WINDOW_MINUTES:
            took_in[minute].append(finish.took_ms)
    took = sorted(each for minute in took_in for each in minute)
    times = {f"p{percent}Ms": percentile(took, percent) for percent in (50, 95, 99)}
    return {
        "windowMinutes": WINDOW_MINUTES,
        "accepted": sum(accepted_in),
        "finished": len(took),
        "perMinute": [
            _minute(start + number * MINUTE_MS, accepted_in[number], sorted(took_in[number]))
            for number in range(WINDOW_MINUTES)
        ],
        "timeToComplete": {"count": len(took), **times},
    }


def _minute(at_ms: int, accepted: int, took: Sequence[int]) -> dict[str, Any]:
    times = {f"p{percent}Ms": percentile(took, percent) for percent in (50, 95)}
    return {"at": to_text(at_ms), "accepted": accepted, "finished": len(took), **times}
