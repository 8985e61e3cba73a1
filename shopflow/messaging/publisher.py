"""From events to the topic: validated, in batches, and without losing track of what was not accepted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.errors import Unavailable
from shopflow.log import about
from shopflow.ports import MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, Outgoing, Topic

log = logging.getLogger(__name__)


class Publisher:
    """Publishes events that are in an outbox already.

    So a refusal is no error: the outbox still owns the event, and the relay publishes it later (docs/adr/0005).
    """

    def __init__(self, topic: Topic, contracts: Contracts) -> None:
        self._topic = topic
        self._contracts = contracts

    def publish(self, events: Sequence[Event]) -> frozenset[str]:
        """Publish ``events``; returns the ids of those that the topic accepted.

        Raises `ContractBreach` before anything is published when one of them breaks its contract.
        """
        outgoing = [self._outgoing(event) for event in events]
        refused: frozenset[str] = frozenset()
        for batch in _batches(outgoing):
            refused |= self._publish_batch(batch)
        for event in events:
            if event.event_id in refused:
                log.warning("not published: stays in the outbox for the relay", extra=about(event))
        return frozenset(event.event_id for event in events) - refused

    def _outgoing(self, event: Event) -> Outgoing:
        return Outgoing(event.event_id, event.event_type, self._contracts.encode(event), event.trace_parent)

    def _publish_batch(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        try:
            return self._topic.publish(batch)
        except Unavailable as error:
            log.warning("the topic is unavailable: %s", error)
            return frozenset(outgoing.event_id for outgoing in batch)


def _batches(outgoing: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """Cut into batches that one PublishBatch takes: by number and by size."""
    batch: list[Outgoing] = []
    size = 0
    for item in outgoing:
        item_size = len(item.text.encode()) + len(item.event_type) + len(item.trace_parent or "")
        if batch and (len(batch) == MAX_BATCH_ENTRIES or size + item_size > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item_size
    if batch:
        yield batch
