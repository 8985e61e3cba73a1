"""How the orders that this process accepted lately fared: looked up when somebody asks."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

from api.following import MAX_PER_READ
from api.ops.metrics import Finish, finish_of, summary, window_start
from api.recent import MAX_REMEMBERED, RecentOrders
from shopflow.clock import Clock
from shopflow.ports import Orders

MAX_READ = 1000
"""Orders looked at for one answer. Those that are left are looked at for the next ones."""


class Throughput:
    """An order that is finished is remembered as such and not read again. Not thread-safe."""

    def __init__(self, recent: RecentOrders, orders: Orders, clock: Clock) -> None:
        self._recent = recent
        self._orders = orders
        self._clock = clock
        self._known = 0  # the number of the latest accepted order that was taken up
        self._unfinished: dict[str, int] = {}  # when accepted, by order id; the next to look at first
        self._finishes: deque[Finish] = deque(maxlen=MAX_REMEMBERED)

    def summary(self) -> dict[str, Any]:
        """Raises `Unavailable`."""
        now = self._clock.now_ms()
        self._take_up(window_start(now))
        self._look()
        accepted = [one.at_ms for one in self._recent.since(window_start(now))]
        return summary(accepted, self._finishes, now)

    def _take_up(self, since: int) -> None:
        """Take up the orders that were accepted since the last time; forget what lies before the window."""
        fresh = self._recent.after(self._known)
        self._known = fresh[-1].number if fresh else self._known
        self._unfinished |= {one.order_id: one.at_ms for one in fresh}
        self._unfinished = {order_id: at_ms for order_id, at_ms in self._unfinished.items() if at_ms >= since}
        while self._finishes and self._finishes[0].at_ms < since:
            self._finishes.popleft()

    def _look(self) -> None:
        due = iter(list(islice(self._unfinished, MAX_READ)))
        while chunk := list(islice(due, MAX_PER_READ)):
            for order_id, order in self._orders.read(chunk).items():
                at_ms = self._unfinished.pop(order_id)
                if finish := finish_of(order):
                    self._finishes.append(finish)
                else:
                    self._unfinished[order_id] = at_ms  # behind the others
