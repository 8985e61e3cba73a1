"""The audit log in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from threading import Lock

from shopflow.domain.event import Event
from shopflow.ports import MAX_STATEMENTS, AuditEntry


class MemoryAuditLog:
    """`shopflow.ports.AuditLog`: nothing in it is ever changed or taken away."""

    def __init__(self) -> None:
        self._trails: defaultdict[str, dict[str, AuditEntry]] = defaultdict(dict)
        self._lock = Lock()

    def insert(self, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:
        if len(events) > MAX_STATEMENTS:
            raise ValueError(f"{len(events)} events are more than {MAX_STATEMENTS}")
        with self._lock:
            for event in events:
                self._trails[event.order_id].setdefault(event.event_id, AuditEntry(event, stored_at))
        return {}

    def has(self, order_id: str, event_id: str) -> bool:
        with self._lock:
            return event_id in self._trails.get(order_id, ())

    def trail(self, order_id: str) -> list[AuditEntry]:
        with self._lock:
            trail = self._trails.get(order_id, {})
            return [trail[event_id] for event_id in sorted(trail)]
