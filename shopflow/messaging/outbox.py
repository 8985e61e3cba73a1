"""From an order's outbox to the topic: each event is rebuilt from its order, encoded once, and published in batches."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shopflow.catalog import Catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event, payload_of
from shopflow.domain.order import Order
from shopflow.log import about
from shopflow.messaging.group_commit import GroupCommit
from shopflow.ports import MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, Outgoing, Topic

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outbox:
    """Encodes events for the wire.

    Encode an event before the commit: an order whose event cannot be published must not be stored, because no service
    would ever process it.
    """

    catalog: Catalog
    contracts: Contracts

    def outgoing(self, order: Order) -> Outgoing:
        """The event in the outbox of ``order``. Raises `ContractBreach` when it cannot be published."""
        return self.encode(stored_event(self.catalog, order))

    def encode(self, event: Event) -> Outgoing:
        """``event`` for the wire. Raises `ContractBreach` when it cannot be published."""
        text = self.contracts.encode(event)
        return Outgoing(event.event_id, event.event_type, text, event.trace_parent, event.order_id)


class Publisher:
    """Publishes events that are stored in an outbox. Concurrent calls share a PublishBatch.

    A refusal is not an error: the outbox still has the event, and the relay publishes it later (docs/adr/0004).
    ``patience_seconds``: how long `publish` waits for another caller's request; then it leaves its events to the relay.
    """

    def __init__(self, topic: Topic, patience_seconds: float | None = None) -> None:
        self._topic = topic
        self._group = GroupCommit(self._request, MAX_BATCH_ENTRIES, patience_seconds=patience_seconds)

    def publish(self, events: Sequence[Outgoing]) -> frozenset[str]:
        """Publish ``events``; returns the ids of those that the topic accepted. Never raises."""
        accepted = set()
        for event, result in zip(events, self._group.submit(events), strict=True):
            if result is True:
                accepted.add(event.event_id)
            else:
                log.warning(
                    "not published, stays in the outbox for the relay: %s", result or "refused", extra=about(event)
                )
        return frozenset(accepted)

    def _request(self, events: Sequence[Outgoing]) -> list[bool]:
        """Whether the topic accepted each event."""
        refused = frozenset().union(*(self._topic.publish(batch) for batch in _batches(events)))
        return [event.event_id not in refused for event in events]


def stored_event(catalog: Catalog, order: Order) -> Event:
    """The event in the outbox of ``order``. It is rebuilt from the order, so what is published is what is stored.

    Raises ``ValueError`` when the outbox is empty.
    """
    header = order.outbox
    if header is None:
        raise ValueError(f"{order.order_id}: nothing in the outbox")
    spec = catalog.events[header.event_type]
    return Event(
        event_id=header.event_id,
        event_type=header.event_type,
        version=spec.version,
        time_ms=header.time_ms,
        source=catalog.services[spec.producer].source,
        correlation_id=order.order_id,
        causation_id=header.causation_id,
        payload=payload_of(order, header.event_type),
        trace_parent=header.trace_parent,
    )


def _batches(events: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """``events`` in batches that fit one PublishBatch, by number and by size."""
    batch: list[Outgoing] = []
    size = 0
    for event in events:
        event_size = len(event.text.encode()) + len(event.event_type) + len(event.trace_parent or "")
        if batch and (len(batch) == MAX_BATCH_ENTRIES or size + event_size > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += event_size
    if batch:
        yield batch
