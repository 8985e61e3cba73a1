"""A topic, standard queues and their dead-letter queues in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Lock

from shopflow.clock import Clock
from shopflow.ports import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ENTRIES,
    MAX_VISIBILITY_SECONDS,
    QUEUE_RETENTION_SECONDS,
    Backlog,
    DeadLetter,
    Message,
    Outgoing,
    QueueDepth,
    in_batches,
)


class MemoryTopic:
    """`shopflow.ports.Topic` that delivers each event once, at once, to the subscribed queues."""

    def __init__(self) -> None:
        self._subscriptions: list[tuple[MemoryQueue, frozenset[str] | None]] = []

    def subscribe(self, queue: MemoryQueue, event_types: Collection[str] | None = None) -> None:
        """Deliver events published from now on to ``queue``: those of ``event_types``, or all of them (None)."""
        self._subscriptions.append((queue, None if event_types is None else frozenset(event_types)))

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        if len(batch) > MAX_BATCH_ENTRIES or sum(len(outgoing.text.encode()) for outgoing in batch) > MAX_BATCH_BYTES:
            raise ValueError(f"more than {MAX_BATCH_ENTRIES} events or {MAX_BATCH_BYTES} bytes in a batch")
        for outgoing in batch:
            for queue, event_types in self._subscriptions:
                if event_types is None or outgoing.event_type in event_types:
                    queue.send(outgoing.text, outgoing.trace_parent)
        return frozenset()


@dataclass(slots=True)
class _Stored:
    """A message in a queue. It can be received from ``visible_at`` on. All times in milliseconds."""

    message_id: str
    body: str
    sent_at: int
    trace_parent: str | None = None
    receive_count: int = 0
    received_at: int = 0
    visible_at: int = 0

    @property
    def delivery(self) -> Message:
        handle = f"{self.message_id}/{self.receive_count}"
        return Message(self.message_id, handle, self.body, self.receive_count, self.trace_parent)


class MemoryQueue:
    """`shopflow.ports.Queue`: a standard queue as the SQS developer guide describes it, first in, first out.

    ``name``: the start of its message ids; different for each queue.
    ``visibility_seconds``: how long a received message is hidden.
    ``dlq``: gets a message that was received ``max_receives`` times and would be received again.
    ``retention_seconds``: the age at which a message is deleted, from its first sending. ``expired`` has the bodies.
    It never loses, duplicates or reorders messages; wrap it for that.
    """

    def __init__(
        self,
        clock: Clock,
        name: str,
        *,
        visibility_seconds: int = 60,
        dlq: MemoryQueue | None = None,
        max_receives: int = 3,
        retention_seconds: int = QUEUE_RETENTION_SECONDS,
    ) -> None:
        self._clock = clock
        self._name = name
        self._visibility_ms = visibility_seconds * 1000
        self._dlq = dlq
        self._max_receives = max_receives
        self._retention_ms = retention_seconds * 1000
        self._numbers = count(1)
        self._messages: dict[str, _Stored] = {}
        self.expired: list[str] = []
        self._lock = Lock()

    def send(self, body: str, trace_parent: str | None = None) -> str:
        """Append a message. Returns its id."""
        stored = _Stored(f"{self._name}-{next(self._numbers)}", body, self._clock.now_ms(), trace_parent)
        self.take_over(stored)
        return stored.message_id

    def take_over(self, stored: _Stored) -> None:
        """Append a message, also one of another queue. It keeps its id and its receive count."""
        with self._lock:
            self._messages[stored.message_id] = stored

    def receive(self, most: int, wait_seconds: int) -> list[Message]:  # noqa: ARG002
        """Up to ``most`` (1-10) visible messages. Never waits: the caller moves the clock and asks again."""
        if not 1 <= most <= MAX_BATCH_ENTRIES:
            raise ValueError(f"most={most} is not from 1 to {MAX_BATCH_ENTRIES}")
        with self._lock:
            now = self._delete_expired()
            received: list[Message] = []
            for stored in [one for one in self._messages.values() if one.visible_at <= now]:
                if len(received) == most:
                    break
                if self._dlq is not None and stored.receive_count >= self._max_receives:
                    del self._messages[stored.message_id]
                    self._dlq.take_over(stored)
                    continue
                stored.receive_count += 1
                stored.received_at, stored.visible_at = now, now + self._visibility_ms
                received.append(stored.delivery)
            return received

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Deletes all of them and returns none.

        A message that was received again stays, but counts as deleted (SQS, DeleteMessage: with an old receipt handle
        of a standard queue "the request succeeds, but the message might not be deleted").
        """
        _check_batch(messages)
        with self._lock:
            for message in messages:
                if self._latest(message) is not None:
                    del self._messages[message.message_id]
        return []

    def change_visibility(self, seconds: Mapping[Message, int]) -> list[Message]:
        """Also fails for a message that would be hidden for over 12 hours since its receive."""
        _check_batch(seconds)
        with self._lock:
            now = self._delete_expired()
            return [message for message, hidden in seconds.items() if not self._hide_again(message, now, hidden)]

    def depth(self) -> QueueDepth:
        """The exact numbers, where SQS's are approximate."""
        with self._lock:
            now = self._delete_expired()
            in_flight = sum(stored.visible_at > now for stored in self._messages.values())
            return QueueDepth(len(self._messages) - in_flight, in_flight)

    def sent_at(self, message: Message) -> int:
        """When it was first sent, in milliseconds. Raises ``KeyError`` if it is not in this queue."""
        with self._lock:
            return self._messages[message.message_id].sent_at

    def _hide_again(self, message: Message, now: int, seconds: int) -> bool:
        """Hide the message if it is in flight with this receipt handle. Returns whether it was hidden."""
        stored = self._latest(message)
        if stored is None or stored.visible_at <= now:
            return False
        until = now + seconds * 1000
        if not now <= until <= stored.received_at + MAX_VISIBILITY_SECONDS * 1000:
            return False
        stored.visible_at = until
        return True

    def _latest(self, message: Message) -> _Stored | None:
        """The stored message, if it was not deleted or received again since this delivery."""
        stored = self._messages.get(message.message_id)
        return stored if stored is not None and stored.delivery.receipt_handle == message.receipt_handle else None

    def _delete_expired(self) -> int:
        """Delete messages older than the retention. Returns the time now."""
        now = self._clock.now_ms()
        for stored in [one for one in self._messages.values() if one.sent_at + self._retention_ms <= now]:
            del self._messages[stored.message_id]
            self.expired.append(stored.body)
        return now


def _check_batch(entries: Collection[Message]) -> None:
    if len(entries) > MAX_BATCH_ENTRIES:
        raise ValueError(f"{len(entries)} messages are more than {MAX_BATCH_ENTRIES}")


class MemoryDeadLetters:
    """`shopflow.ports.DeadLetters`: ``dlq``, of ``queue``."""

    def __init__(self, dlq: MemoryQueue, queue: MemoryQueue) -> None:
        self._dlq = dlq
        self._queue = queue

    def depth(self) -> int:
        return self._dlq.depth().total

    def receive(self, most: int, hide_seconds: int, wait_seconds: int) -> list[DeadLetter]:
        messages = self._dlq.receive(most, wait_seconds)
        letters = [DeadLetter(message, self._dlq.sent_at(message), {}) for message in messages]
        self._dlq.change_visibility(dict.fromkeys(messages, hide_seconds))
        return letters

    def hide(self, letters: Sequence[DeadLetter], seconds: int) -> None:
        for batch in in_batches(letters):
            self._dlq.change_visibility({letter.message: seconds for letter in batch})

    def delete(self, letters: Sequence[DeadLetter]) -> int:
        for batch in in_batches(letters):
            self._dlq.delete([letter.message for letter in batch])
        return len(letters)

    def redrive(self, letter: DeadLetter) -> str:
        message_id = self._queue.send(letter.message.body)
        self._dlq.delete([letter.message])
        return message_id


class MemoryBacklogs:
    """`shopflow.ports.Backlogs` of queues and dead-letter queues by service."""

    def __init__(self, queues: Mapping[str, MemoryQueue], dlqs: Mapping[str, MemoryQueue]) -> None:
        self._queues = queues
        self._dlqs = dlqs

    def of(self, service: str) -> Backlog:
        return Backlog(self._queues[service].depth(), self._dlqs[service].depth())
