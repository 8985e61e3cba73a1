"""The audit log in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from threading import Lock

from shopflow.aws.items import Item, audit_from_item, audit_to_item, readable
from shopflow.domain.event import Event
from shopflow.ports import MAX_STATEMENTS, AuditEntry


class MemoryAuditLog:
    """`shopflow.ports.AuditLog`: nothing in it is ever changed or taken away."""

    def __init__(self) -> None:
        self._trails: defaultdict[str, dict[str, Item]] = defaultdict(dict)
        self._lock = Lock()

    def insert(self, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:
        if len(events) > MAX_STATEMENTS:
            raise ValueError(f"{len(events)} events are more than {MAX_STATEMENTS}")
        with self._lock:
            for event in events:
                self._put(event, stored_at)
        return {}

    def has(self, order_id: str, event_id: str) -> bool:
        with self._lock:
            return event_id in self._trails.get(order_id, ())

    def trail(self, order_id: str) -> list[AuditEntry]:
        with self._lock:
            items = [item for _, item in sorted(self._trails.get(order_id, {}).items())]
        return list(readable(items, audit_from_item, "events", "eventId"))

    def _put(self, event: Event, stored_at: int) -> None:
        trail = self._trails[event.order_id]
        if event.event_id not in trail:
            trail[event.event_id] = audit_to_item(event, stored_at)
