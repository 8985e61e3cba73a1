"""The Fraud Service: flags suspicious orders by simple rules.

It stores nothing, so it has no outbox. Instead it makes its event from the event that caused it and from nothing else,
and a message is done only when the topic has accepted that event. After a crash the same event is made again, and the
audit log has it once (docs/architecture.md, rule 6).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ulid import ULID

from shopflow.domain.event import Event, Payload
from shopflow.errors import Unavailable
from shopflow.log import about
from shopflow.messaging.handler import Done, Failed, Handler, Outcome
from shopflow.messaging.outbox import Outbox
from shopflow.ports import Topic

FLAGGED = "fraud.flagged"
NAME = "fraud"
MAX_POINTS = 100
FLAGGED_FROM = 50

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rule:
    """``points`` for an order when ``applies`` is true of its payload; ``reason`` says why, for a person."""

    points: int
    reason: str
    applies: Callable[[Payload], bool]


RULES = (
    Rule(60, "the amount is 1000 or more", lambda order: order["totalAmount"] >= 1000),
    Rule(40, "20 units or more are ordered at once", lambda order: sum(_units(order)) >= 20),
    Rule(30, "10 units or more of one product are ordered", lambda order: max(_units(order)) >= 10),
)


def score(order: Payload) -> tuple[int, list[str]]:
    """0 to 100 points for the payload of an `order.created`, and the reason of each rule that applies."""
    met = [rule for rule in RULES if rule.applies(order)]
    return min(MAX_POINTS, sum(rule.points for rule in met)), [rule.reason for rule in met]


def _units(order: Payload) -> list[int]:
    return [line["quantity"] for line in order["items"]]


class Fraud(Handler):
    """``outbox``: with the catalogue that includes the overlay."""

    def __init__(self, topic: Topic, outbox: Outbox) -> None:
        self._topic = topic
        self._outbox = outbox

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        flags: dict[str, Event] = {}
        for event in events:
            points, reasons = score(event.payload)
            if points >= FLAGGED_FROM:
                flags[event.event_id] = self._flag(event, points, reasons)
                log.info("flagged: %s", "; ".join(reasons), extra=about(event))
        outgoing = [self._outbox.encode(flag) for flag in flags.values()]
        refused = self._topic.publish(outgoing) if outgoing else frozenset()
        failed = {cause for cause, flag in flags.items() if flag.event_id in refused}
        return [Failed(Unavailable("the topic refused it")) if one.event_id in failed else Done() for one in events]

    def _flag(self, cause: Event, points: int, reasons: list[str]) -> Event:
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
            | {"score": points, "reasons": reasons},
            trace_parent=cause.trace_parent,
        )
