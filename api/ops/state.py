"""The state of the system as the operator's page shows it."""

from __future__ import annotations

from typing import Any

from api.ops import waiting
from api.ops.throughput import Throughput
from api.queues import ByService
from api.recent import RecentOrders
from api.ticking import Held
from api.views import backlog_view
from shopflow.clock import Clock
from shopflow.domain.times import to_text
from shopflow.ports import Orders

HOLD_MS = 1000


class State:
    """At most a second old, and looked up only when somebody asks. Thread-safe."""

    def __init__(self, orders: Orders, recent: RecentOrders, backlogs: Held[ByService], clock: Clock) -> None:
        self._orders = orders
        self._backlogs = backlogs
        self._clock = clock
        self._throughput = Throughput(recent, orders, clock)
        self._held = Held(self._look, clock, HOLD_MS)

    def view(self) -> dict[str, Any]:
        """Raises `Unavailable`."""
        return self._held.get()

    def _look(self) -> dict[str, Any]:
        found = waiting.look(self._orders, self._clock)
        return {
            "at": to_text(self._clock.now_ms()),
            "queues": {
                service: {**backlog_view(backlog), "oldestSeconds": found.oldest_seconds.get(service)}
                for service, backlog in self._backlogs.get().items()
            },
            "orders": self._throughput.summary(),
            "openOrders": found.open_orders,
        }
