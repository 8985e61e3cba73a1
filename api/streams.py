"""Live views as Server-Sent Events: of one order, and of the flow of all orders and queues."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from api.http_message import NOT_STORED, HttpError, Response
from api.pollers import BacklogsByService, Change, OrderPoller, Poller, QueuePoller, Watch
from api.routing import RETRY_AFTER
from api.views import backlog_view, flow_event_view, order_view, stream_event_view
from shopflow import jsontext
from shopflow.clock import Clock
from shopflow.domain.order import Order, Status

MAX_ORDER_STREAMS = 100
MAX_FLOW_STREAMS = 50
MAX_UNSENT = 1000
"""Messages kept for a client that reads too slowly. When there are more, the oldest are dropped."""
HEARTBEAT_MS = 15_000
HEARTBEAT = b": still here\n\n"
WAIT_SECONDS = 0.5
"""The time between two checks whether the client is still there."""

Message = dict[str, Any]
HungUp = Callable[[float], bool]


class EventStream(ABC):
    """Sends the client what is new, until there is no more, the client hangs up, or ``limit_ms`` have passed.

    A silent stream sends heartbeats. ``subscriptions``: the pollers that it hears while it is read.
    ``hung_up`` as in `Request`; ``release`` is called when the stream is closed.
    """

    limit_ms: int
    done = False
    """Whether there will be no more messages."""

    def __init__(
        self, clock: Clock, hung_up: HungUp, release: Callable[[], None], *subscriptions: tuple[Poller[Any], Any]
    ) -> None:
        self._subscriptions = subscriptions
        self._clock = clock
        self._hung_up = hung_up
        self._release = release

    def __iter__(self) -> Iterator[bytes]:
        for poller, subscriber in self._subscriptions:
            poller.subscribe(subscriber)
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
        for poller, subscriber in self._subscriptions:
            poller.unsubscribe(subscriber)
        self._release()

    @abstractmethod
    def _new_messages(self) -> Iterable[Message]:
        """The messages that the client does not have yet."""

    @abstractmethod
    def _wait(self, seconds: float) -> None:
        """Wait up to ``seconds`` for new messages."""

    def _messages_at_limit(self) -> Iterable[Message]:
        return ()


class OrderStream(EventStream):
    """What happens to one order, until its legal trail is recorded and its customer notified."""

    limit_ms = 120_000

    def __init__(
        self, order: Order, poller: OrderPoller, clock: Clock, hung_up: HungUp, release: Callable[[], None]
    ) -> None:
        self._watch = Watch(order)
        super().__init__(clock, hung_up, release, (poller, self._watch))
        self._sent_state: tuple[Status, int | None] | None = None
        self._sent_event_ids: set[str] = set()

    def _new_messages(self) -> Iterator[Message]:
        """Entries of the trail can arrive out of order, so their event ids identify them.

        When the customer is notified after the last status, that status is sent again, with the notification.
        """
        snapshot = self._watch.snapshot
        order = snapshot.order
        if (order.status, order.notified_at) != self._sent_state:
            self._sent_state = (order.status, order.notified_at)
            yield {"type": "status", "orderId": order.order_id, "status": str(order.status), "order": order_view(order)}
        for entry in snapshot.entries:
            if entry.event.event_id not in self._sent_event_ids:
                self._sent_event_ids.add(entry.event.event_id)
                yield stream_event_view(entry)
        if snapshot.complete and (order.notified_at is not None or snapshot.settled):
            self.done = True
            yield {"type": "done", "status": str(order.status)}

    def _wait(self, seconds: float) -> None:
        self._watch.wait(seconds)

    def _messages_at_limit(self) -> Iterable[Message]:
        return [{"type": "error", "message": f"not finished within {self.limit_ms // 1000} seconds"}]


class FlowStream(EventStream):
    """What happens to all recent orders, and how many messages wait in the queues.

    At its time limit the client connects again, so a forgotten page does not keep a stream for ever.
    """

    limit_ms = 600_000

    def __init__(
        self, orders: OrderPoller, queues: QueuePoller, clock: Clock, hung_up: HungUp, release: Callable[[], None]
    ) -> None:
        super().__init__(clock, hung_up, release, (orders, self.hear_change), (queues, self.hear_queues))
        self._unsent: deque[Message] = deque(maxlen=MAX_UNSENT)
        self._latest_queues: Message | None = None
        self._changed = threading.Condition()

    def hear_change(self, change: Change) -> None:
        order = change.order
        messages = [flow_event_view(entry) for entry in change.entries]
        if change.status_changed:
            messages.append({"type": "status", "orderId": order.order_id, "status": str(order.status)})
        self._add(*messages)

    def hear_queues(self, backlogs: BacklogsByService) -> None:
        queues: Message = {"type": "queues", "queues": {name: backlog_view(one) for name, one in backlogs.items()}}
        if queues != self._latest_queues:
            self._latest_queues = queues
            self._add(queues)

    def _add(self, *messages: Message) -> None:
        with self._changed:
            self._unsent += messages
            self._changed.notify_all()

    def _new_messages(self) -> Iterable[Message]:
        with self._changed:
            messages = list(self._unsent)
            self._unsent.clear()
            return messages

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._unsent, seconds)


class Streams:
    """Opens streams, a limited number of each kind at a time."""

    def __init__(self, orders: OrderPoller, queues: QueuePoller, clock: Clock) -> None:
        self._orders = orders
        self._queues = queues
        self._clock = clock
        self._order_slots = threading.BoundedSemaphore(MAX_ORDER_STREAMS)
        self._flow_slots = threading.BoundedSemaphore(MAX_FLOW_STREAMS)

    def accept(self, order: Order) -> None:
        """Show ``order``, which was just placed, in the flow."""
        self._orders.accept(order)

    def of_order(self, order: Order, hung_up: HungUp) -> Response:
        """The stream of ``order``. Raises `HttpError` 503 when there are too many."""
        release = take_slot(self._order_slots)
        return stream_response(OrderStream(order, self._orders, self._clock, hung_up, release), order.order_id)

    def of_flow(self, hung_up: HungUp) -> Response:
        """The stream of all orders and queues. Raises `HttpError` 503 when there are too many."""
        release = take_slot(self._flow_slots)
        return stream_response(FlowStream(self._orders, self._queues, self._clock, hung_up, release))


def encode(message: Message) -> bytes:
    return f"data: {jsontext.dumps(message)}\n\n".encode()


def take_slot(slots: threading.BoundedSemaphore) -> Callable[[], None]:
    """Take a slot, and return what releases it."""
    if not slots.acquire(blocking=False):
        raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "too many streams: try again later", RETRY_AFTER)
    return slots.release


def stream_response(stream: EventStream, order_id: str | None = None) -> Response:
    # X-Accel-Buffering makes nginx, and proxies that adopted it, pass on each event at once.
    headers = {**NOT_STORED, "X-Accel-Buffering": "no"}
    return Response(HTTPStatus.OK, stream, "text/event-stream", headers, order_id)
