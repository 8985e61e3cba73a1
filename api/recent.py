"""The orders that this process accepted lately."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from itertools import takewhile

MAX_RECENT = 50_000
"""About 15 MB: ten minutes at 80 orders a second."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted order. ``number`` counts from 1; ``at_ms`` is when it was created."""

    number: int
    order_id: str
    at_ms: int


class RecentOrders:
    """The latest ``max_orders`` accepted orders, each added once. Thread-safe."""

    def __init__(self, max_orders: int = MAX_RECENT) -> None:
        self._orders: deque[Accepted] = deque(maxlen=max_orders)
        self._count = 0
        self._lock = threading.Lock()

    def accept(self, order_id: str, at_ms: int) -> None:
        with self._lock:
            self._count += 1
            self._orders.append(Accepted(self._count, order_id, at_ms))

    def after(self, number: int) -> list[Accepted]:
        """The orders accepted after that ``number``, the oldest first."""
        with self._lock:
            return list(takewhile(lambda order: order.number > number, reversed(self._orders)))[::-1]

    def since(self, at_ms: int) -> list[Accepted]:
        """The orders created at ``at_ms`` or later, the oldest first."""
        with self._lock:
            return list(takewhile(lambda order: order.at_ms >= at_ms, reversed(self._orders)))[::-1]
