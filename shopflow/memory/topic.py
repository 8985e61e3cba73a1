"""The topic in memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from shopflow.memory.queues import MemoryQueue
from shopflow.ports import MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, Outgoing


class MemoryTopic:
    """`shopflow.ports.Topic` that delivers to its subscribed queues at once: the event's text as it is, once each."""

    def __init__(self) -> None:
        self._subscriptions: list[tuple[MemoryQueue, frozenset[str] | None]] = []

    def subscribe(self, queue: MemoryQueue, event_types: Collection[str] | None = None) -> None:
        """Deliver what is published from now on to ``queue``: the events of ``event_types``, or (None) every one."""
        self._subscriptions.append((queue, None if event_types is None else frozenset(event_types)))

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        if len(batch) > MAX_BATCH_ENTRIES or sum(len(outgoing.text.encode()) for outgoing in batch) > MAX_BATCH_BYTES:
            raise ValueError(f"more than {MAX_BATCH_ENTRIES} events or {MAX_BATCH_BYTES} bytes in a batch")
        for outgoing in batch:
            for queue, event_types in self._subscriptions:
                if event_types is None or outgoing.event_type in event_types:
                    queue.send(outgoing.text, outgoing.trace_parent)
        return frozenset()
