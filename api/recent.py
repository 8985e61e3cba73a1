"""The orders that this process accepted lately."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

MAX_REMEMBERED = 50_000
"""About 15 MB: ten minutes at 80 orders a second."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The ``number``-th order that was accepted, from 1. ``at_ms``: when it was created."""

    number: int
    order_id: str
    at_ms: int


class RecentOrders:
    """A bounded memory of orders, each added once. Thread-safe."""

    def __init__(self, most: int = MAX_REMEMBERED) -> None:
        self._orders: deque[Accepted] = deque(maxlen=most)
        self._count = 0
        self._lock = threading.Lock()

    def accept(self, order_id: str, at_ms: int) -> None:
        with self._lock:
            self._count += 1
            self._orders.append(Accepted(self._count, order_id, at_ms))

    @property
    def count(self) -> int:
        """How many were ever accepted, which is the number of the latest."""
        return self._count

    def after(self, number: int) -> list[Accepted]:
        """Those that were accepted after the one of that number, in their order; the oldest may be forgotten."""
        with self._lock:
            return self._tail(takewhile(lambda one: one.number > number, reversed(self._orders)))

    def since(self, at_ms: int) -> list[Accepted]:
        """Those created at that time or later, in their order."""
        with self._lock:
            return self._tail(takewhile(lambda one: one.at_ms >= at_ms, reversed(self._orders)))

    @staticmethod
    def _tail(newest_first: Iterator[Accepted]) -> list[Accepted]:
        return list(newest_first)[::-1]
