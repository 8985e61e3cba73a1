"""The Fraud Service: flags suspicious orders.

It stores nothing, so it has no outbox. Instead it makes its event from the event that caused it and from nothing else,
and a message is done only when the topic has accepted that event. After a crash the same event is made again, and the
audit log has it once (docs/architecture.md, rule 6).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

from ulid import ULID

from examples.fraud.scoring import Score, score
from shopflow.domain.event import Event
from shopflow.errors import Unavailable
from shopflow.log import about
from shopflow.messaging.handler import Done, Failed, Handler, Outcome
from shopflow.messaging.outbox import Outbox
from shopflow.ports import Topic

FLAGGED = "fraud.flagged"
NAME = "fraud"

log = logging.getLogger(__name__)


class Fraud(Handler):
    """``outbox``: with the catalogue that includes the overlay."""

    def __init__(self, topic: Topic, outbox: Outbox) -> None:
        self._topic = topic
        self._outbox = outbox

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        scores = {event.event_id: score(event.payload) for event in events}
        flagged = [event for event in events if scores[event.event_id].flagged]
        refused = self._publish({event.event_id: self._flag(event, scores[event.event_id]) for event in flagged})
        for event in flagged:
            log.info("flagged: %s", "; ".join(scores[event.event_id].reasons), extra=about(event))
        return [Failed(Unavailable("the topic refused it")) if one.event_id in refused else Done() for one in events]

    def _publish(self, flags: dict[str, Event]) -> frozenset[str]:
        """Publish ``flags``, events by the id of their cause. Returns the causes of those that were refused."""
        if not flags:
            return frozenset()
        refused = self._topic.publish([self._outbox.encode(flag) for flag in flags.values()])
        return frozenset(cause for cause, flag in flags.items() if flag.event_id in refused)

    def _flag(self, cause: Event, scored: Score) -> Event:
        """The event that ``cause`` leads to, always the same: 1 ms later, with an id that is a hash of the cause's."""
        time_ms = cause.time_ms + 1
        draw = hashlib.sha256(f"{FLAGGED} {cause.event_id}".encode()).digest()
        return Event(
            event_id=str(ULID.from_bytes(time_ms.to_bytes(6, "big") + draw[:10])),
            event_type=FLAGGED,
            version=self._outbox.catalog.events[FLAGGED].version,
            time_ms=time_ms,
            source=self._outbox.catalog.services[NAME].source,
            correlation_id=cause.correlation_id,
            causation_id=cause.event_id,
            payload={name: cause.payload[name] for name in ("orderId", "customerId", "totalAmount")}
            | {"score": scored.points, "reasons": list(scored.reasons)},
            trace_parent=cause.trace_parent,
        )
