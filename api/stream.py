"""The live view of one order, as Server-Sent Events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from api.followed import Seen
from api.following import Follower, Watch
from api.sse import HEARTBEAT, WAIT_SECONDS, HungUp, Message, Pulse, encode
from api.views import order_view
from shopflow.clock import Clock
from shopflow.domain.order import Order, Status
from shopflow.domain.times import to_text

TIME_LIMIT_MS = 120_000


@dataclass(slots=True)
class Told:
    """What the client of a stream knows already."""

    status: Status | None = None
    notified_at: int | None = None
    event_ids: set[str] = field(default_factory=set)
    done: bool = False

    def news(self, seen: Seen) -> Iterator[Message]:
        """The messages that bring the client up to date. Entries can arrive out of order: what counts is their id.

        A customer is told of a failure after the order's last status: then that status comes again, with the message.
        """
        order = seen.order
        if (order.status, order.notified_at) != (self.status, self.notified_at):
            self.status, self.notified_at = order.status, order.notified_at
            yield {"type": "status", "orderId": order.order_id, "status": str(order.status), "order": order_view(order)}
        for event in (entry.event for entry in seen.entries if entry.event.event_id not in self.event_ids):
            self.event_ids.add(event.event_id)
            yield {
                "type": "audit",
                "eventId": event.event_id,
                "eventType": str(event.event_type),
                "recordedAt": to_text(event.time_ms),
            }
        if seen.complete and (order.notified_at is not None or seen.settled):
            self.done = True
            yield {"type": "done", "status": str(order.status)}


class OrderStream:
    """The messages about ``order`` until it is complete, the client hangs up or the time limit is reached.

    ``hung_up(seconds)`` waits that long at most and tells whether the client has. To be closed once, which calls
    ``release``.
    """

    def __init__(
        self, order: Order, follower: Follower, clock: Clock, hung_up: HungUp, release: Callable[[], None]
    ) -> None:
        self._watch = Watch(order)
        self._follower = follower
        self._clock = clock
        self._hung_up = hung_up
        self._release = release

    def __iter__(self) -> Iterator[bytes]:
        self._follower.watch(self._watch)
        told, started = Told(), self._clock.now_ms()
        pulse = Pulse(started)
        while not self._hung_up(0):
            for message in told.news(self._watch.seen):
                pulse.spoke(self._clock.now_ms())
                yield encode(message)
            if told.done:
                return
            now = self._clock.now_ms()
            if now - started >= TIME_LIMIT_MS:
                yield encode({"type": "error", "message": f"not finished within {TIME_LIMIT_MS // 1000} seconds"})
                return
            if pulse.is_due(now):
                yield HEARTBEAT
            self._follower.wait(self._watch, WAIT_SECONDS)

    def close(self) -> None:
        self._follower.unwatch(self._watch)
        self._release()
