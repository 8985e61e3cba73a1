"""The live view of one order, as Server-Sent Events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from api.views import order_view
from shopflow import jsontext
from shopflow.clock import Clock
from shopflow.domain.order import LEGAL_TRAILS, Order, Status
from shopflow.domain.times import to_text
from shopflow.errors import Unavailable
from shopflow.log import about
from shopflow.ports import AuditEntry, AuditLog, Orders

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
HEARTBEAT_MS = 15_000
TIME_LIMIT_MS = 120_000
HEARTBEAT = b": still here\n\n"

Message = dict[str, Any]
HungUp = Callable[[float], bool]


@dataclass(slots=True)
class Told:
    """What the client of a stream knows already."""

    status: Status | None = None
    events: dict[str, str] = field(default_factory=dict)

    def news(self, order: Order, trail: list[AuditEntry]) -> Iterator[Message]:
        """The messages that bring the client up to date. Entries can arrive out of order: what counts is their id."""
        if order.status is not self.status:
            self.status = order.status
            yield {"type": "status", "orderId": order.order_id, "status": str(order.status), "order": order_view(order)}
        for event in (entry.event for entry in trail if entry.event.event_id not in self.events):
            self.events[event.event_id] = event.event_type
            yield {
                "type": "audit",
                "eventId": event.event_id,
                "eventType": str(event.event_type),
                "recordedAt": to_text(event.time_ms),
            }
        if self.complete:
            yield {"type": "done", "status": str(order.status)}

    @property
    def complete(self) -> bool:
        """Whether the status is terminal and its whole legal trail is known."""
        if self.status is None or self.status not in LEGAL_TRAILS:
            return False
        return set(LEGAL_TRAILS[self.status]) <= set(self.events.values())


class OrderStream:
    """The messages about ``order`` until it is complete, the client hangs up or the time limit is reached.

    ``hung_up(seconds)`` waits that long at most and tells whether the client has. To be closed once, which calls
    ``release``.
    """

    def __init__(
        self, order: Order, orders: Orders, audit: AuditLog, clock: Clock, hung_up: HungUp, release: Callable[[], None]
    ) -> None:
        self._order = order
        self._orders = orders
        self._audit = audit
        self._clock = clock
        self._hung_up = hung_up
        self._release = release

    def __iter__(self) -> Iterator[bytes]:
        told, started = Told(), self._clock.now_ms()
        spoken = started
        while not told.complete:
            for message in self._news(told):
                spoken = self._clock.now_ms()
                yield _data(message)
            now = self._clock.now_ms()
            if now - started >= TIME_LIMIT_MS and not told.complete:
                yield _data({"type": "error", "message": f"not finished within {TIME_LIMIT_MS // 1000} seconds"})
                return
            if now - spoken >= HEARTBEAT_MS:
                spoken = now
                yield HEARTBEAT
            if not told.complete and self._hung_up(POLL_SECONDS):
                return

    def close(self) -> None:
        self._release()

    def _news(self, told: Told) -> list[Message]:
        order_id = self._order.order_id
        try:
            trail = self._audit.trail(order_id)
            if not self._order.status.terminal:
                self._order = self._orders.read([order_id])[order_id]
        except Unavailable as error:
            log.warning("the stream waits: %s", error, extra=about(order_id=order_id))
            return []
        return list(told.news(self._order, trail))


def _data(message: Message) -> bytes:
    return f"data: {jsontext.dumps(message)}\n\n".encode()
