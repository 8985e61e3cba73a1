"""Live views as Server-Sent Events: of one order, and of the flow of all orders and queues."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from threading import BoundedSemaphore, Event
from typing import Any

from api.http_message import NOT_STORED, HttpError, Response
from api.pollers import OrderPoller, Poller, QueuePoller, QueueViews, Snapshot, Snapshots
from api.routing import RETRY_AFTER
from api.views import flow_event_view, order_view, status_view, stream_event_view
from shopflow import jsontext
from shopflow.clock import Clock
from shopflow.domain.order import Order, Status

MAX_ORDER_STREAMS = 100
MAX_FLOW_STREAMS = 50
NEWS_MS = 10_000
"""The flow begins with what happened this long before it was opened."""
HEARTBEAT_MS = 15_000
HEARTBEAT = b": still here\n\n"
WAIT_SECONDS = 0.5
"""The time between two checks whether the client is still there."""

Message = dict[str, Any]
HungUp = Callable[[float], bool]


class EventStream(ABC):
    """Sends the client what is new, until there is no more, the client hangs up, or ``limit_ms`` have passed.

    A silent stream sends heartbeats. ``subscriptions``: the arguments of `Poller.subscribe` while the stream is read.
    ``hung_up`` as in `Request`. It takes one of ``slots`` until it is closed; raises `HttpError` 503 when none is free.
    """

    limit_ms: int
    done = False
    """Whether there will be no more messages."""

    def __init__(
        self,
        slots: BoundedSemaphore,
        clock: Clock,
        hung_up: HungUp,
        *subscriptions: tuple[Poller[Any], Callable[[Any], None], str | None],
    ) -> None:
        if not slots.acquire(blocking=False):
            raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "too many streams: try again later", RETRY_AFTER)
        self._slots = slots
        self._clock = clock
        self._hung_up = hung_up
        self._subscriptions = subscriptions
        self._news = Event()

    def __iter__(self) -> Iterator[bytes]:
        for poller, show, order_id in self._subscriptions:
            poller.subscribe(show, order_id)
        started = last_sent = self._clock.now_ms()
        while not self._hung_up(0):
            for message in self._new_messages():
                last_sent = self._clock.now_ms()
                yield encode(message)
            now = self._clock.now_ms()
            if self.done:
                return
            if now - started >= self.limit_ms:
                yield from map(encode, self._messages_at_limit())
                return
            if now - last_sent >= HEARTBEAT_MS:
                last_sent = now
                yield HEARTBEAT
            self._wait(WAIT_SECONDS)

    def close(self) -> None:
        """Called once, even if the stream was never iterated."""
        for poller, show, _ in self._subscriptions:
            poller.unsubscribe(show)
        self._slots.release()

    def response(self, order_id: str | None = None) -> Response:
        # X-Accel-Buffering makes nginx, and proxies that adopted it, pass on each event at once.
        headers = {**NOT_STORED, "X-Accel-Buffering": "no"}
        return Response(HTTPStatus.OK, self, "text/event-stream", headers, order_id)

    @abstractmethod
    def _new_messages(self) -> Iterable[Message]:
        """The messages that the client does not have yet."""

    def _messages_at_limit(self) -> Iterable[Message]:
        return ()

    def _wait(self, seconds: float) -> None:
        """Wait up to ``seconds`` for something new."""
        if self._news.wait(seconds):
            self._news.clear()


class OrderStream(EventStream):
    """What happens to one order, until its legal trail is recorded and its customer notified."""

    limit_ms = 120_000

    def __init__(
        self, slots: BoundedSemaphore, clock: Clock, hung_up: HungUp, order: Order, poller: OrderPoller
    ) -> None:
        super().__init__(slots, clock, hung_up, (poller, self.show, order.order_id))
        self._latest = Snapshot(order)
        self._sent_state: tuple[Status, int | None] | None = None
        self._sent_entries = 0

    def show(self, snapshots: Snapshots) -> None:
        snapshot = snapshots.get(self._latest.order.order_id, self._latest)
        if snapshot is not self._latest:
            self._latest = snapshot
            self._news.set()

    def _new_messages(self) -> Iterator[Message]:
        """When the customer is notified after the last status, that status is sent again, with the notification."""
        snapshot = self._latest
        order = snapshot.order
        if (order.status, order.notified_at) != self._sent_state:
            self._sent_state = (order.status, order.notified_at)
            yield status_view(order) | {"order": order_view(order)}
        yield from map(stream_event_view, snapshot.entries[self._sent_entries :])
        self._sent_entries = len(snapshot.entries)
        if snapshot.complete and (order.notified_at is not None or snapshot.settled):
            self.done = True
            yield {"type": "done", "status": str(order.status)}

    def _messages_at_limit(self) -> Iterable[Message]:
        return [{"type": "error", "message": f"not finished within {self.limit_ms // 1000} seconds"}]


class FlowStream(EventStream):
    """What happens to all recent orders, and how many messages wait in the queues.

    At its time limit the client connects again, so a forgotten page does not keep a stream for ever.
    """

    limit_ms = 600_000

    def __init__(
        self,
        slots: BoundedSemaphore,
        clock: Clock,
        hung_up: HungUp,
        orders: OrderPoller,
        queues: QueuePoller,
    ) -> None:
        super().__init__(slots, clock, hung_up, (orders, self.show_orders, None), (queues, self.show_queues, None))
        self._since = clock.now_ms() - NEWS_MS
        self._latest: Snapshots = {}
        self._sent: Snapshots = {}
        self._queues: QueueViews = {}
        self._sent_queues: QueueViews = {}

    def show_orders(self, snapshots: Snapshots) -> None:
        if snapshots != self._latest:
            self._latest = snapshots
            self._news.set()

    def show_queues(self, queues: QueueViews) -> None:
        if queues != self._queues:
            self._queues = queues
            self._news.set()

    def _new_messages(self) -> Iterator[Message]:
        if self._queues != self._sent_queues:
            self._sent_queues = self._queues
            yield {"type": "queues", "queues": self._sent_queues}
        sent, self._sent = self._sent, self._latest
        for order_id, snapshot in self._sent.items():
            yield from self._news_of(snapshot, sent.get(order_id))

    def _news_of(self, snapshot: Snapshot, sent: Snapshot | None) -> Iterator[Message]:
        order = snapshot.order
        changed = sent is None or order.status is not sent.order.status
        if changed and max(order.updated_at, order.notified_at or 0) >= self._since:
            yield status_view(order)
        for entry in snapshot.entries[len(sent.entries) if sent else 0 :]:
            if entry.event.time_ms >= self._since:
                yield flow_event_view(entry)


class Streams:
    """Opens streams, a limited number of each kind at a time."""

    def __init__(self, orders: OrderPoller, queues: QueuePoller, clock: Clock) -> None:
        self._orders = orders
        self._queues = queues
        self._clock = clock
        self._order_slots = BoundedSemaphore(MAX_ORDER_STREAMS)
        self._flow_slots = BoundedSemaphore(MAX_FLOW_STREAMS)

    def accept(self, order: Order) -> None:
        """Show ``order``, which was just placed, in the flow."""
        self._orders.accept(order)

    def of_order(self, order: Order, hung_up: HungUp) -> EventStream:
        """The stream of ``order``. Raises `HttpError` 503 when there are too many."""
        return OrderStream(self._order_slots, self._clock, hung_up, order, self._orders)

    def of_flow(self, hung_up: HungUp) -> EventStream:
        """The stream of all orders and queues. Raises `HttpError` 503 when there are too many."""
        return FlowStream(self._flow_slots, self._clock, hung_up, self._orders, self._queues)


def encode(message: Message) -> bytes:
    return f"data: {jsontext.dumps(message)}\n\n".encode()
