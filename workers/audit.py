"""The Audit Service: records every event once. It does not read or change orders."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from shopflow.clock import Clock
from shopflow.domain.event import Event
from shopflow.log import about
from shopflow.messaging.handler import Done, Failed, Handler, Outcome
from shopflow.ports import AuditLog

log = logging.getLogger(__name__)


class Audit(Handler):
    def __init__(self, audit: AuditLog, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        failures = self._audit.insert(events, self._clock.now_ms())
        for event in events:
            if event.event_id not in failures:
                log.info("recorded %s", event.event_type, extra=about(event))
        return [Failed(failures[event.event_id]) if event.event_id in failures else Done() for event in events]
