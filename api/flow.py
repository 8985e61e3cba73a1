"""The live view of everything, as Server-Sent Events: what happens to orders, and how much waits in the queues."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from api.following import Change, Follower
from api.queues import ByService, QueueWatch
from api.sse import HEARTBEAT, WAIT_SECONDS, HungUp, Message, Pulse, encode
from api.views import backlog_view, flow_event_view
from shopflow.clock import Clock

TIME_LIMIT_MS = 600_000
"""Then the client connects again: nothing is held for ever for one that nobody looks at."""
MAX_WAITING = 1000
"""Messages for a client that reads too slowly; the oldest are dropped beyond."""


class Feed:
    """What one client is to be told next. Thread-safe."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque(maxlen=MAX_WAITING)
        self._queues: Message | None = None
        self._news = threading.Condition()

    def hear(self, change: Change) -> None:
        order = change.order
        messages = [flow_event_view(entry) for entry in change.entries]
        if change.status_changed:
            messages.append({"type": "status", "orderId": order.order_id, "status": str(order.status)})
        self._post(*messages)

    def hear_queues(self, backlogs: ByService) -> None:
        queues: Message = {"type": "queues", "queues": {name: backlog_view(one) for name, one in backlogs.items()}}
        if queues != self._queues:
            self._queues = queues
            self._post(queues)

    def take(self, within_seconds: float) -> list[Message]:
        """The messages since the last call, waiting for the first one so long at most."""
        with self._news:
            self._news.wait_for(lambda: self._messages, within_seconds)
            messages = list(self._messages)
            self._messages.clear()
            return messages

    def _post(self, *messages: Message) -> None:
        with self._news:
            self._messages += messages
            self._news.notify_all()


class FlowStream:
    """The messages for one client until it hangs up or the time limit is reached.

    ``hung_up(seconds)`` waits that long at most and tells whether the client has. To be closed once, which calls
    ``release``.
    """

    def __init__(
        self, follower: Follower, queues: QueueWatch, clock: Clock, hung_up: HungUp, release: Callable[[], None]
    ) -> None:
        self._follower = follower
        self._queues = queues
        self._clock = clock
        self._hung_up = hung_up
        self._release = release
        self._feed = Feed()
        self._listening = False

    def __iter__(self) -> Iterator[bytes]:
        self._listening = True
        self._follower.listen(self._feed.hear)
        self._queues.listen(self._feed.hear_queues)
        started = self._clock.now_ms()
        pulse = Pulse(started)
        while not self._hung_up(0) and self._clock.now_ms() - started < TIME_LIMIT_MS:
            for message in self._feed.take(WAIT_SECONDS):
                pulse.spoke(self._clock.now_ms())
                yield encode(message)
            if pulse.is_due(self._clock.now_ms()):
                yield HEARTBEAT

    def close(self) -> None:
        if self._listening:
            self._follower.unlisten(self._feed.hear)
            self._queues.unlisten(self._feed.hear_queues)
        self._release()
