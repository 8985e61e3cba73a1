"""What the invariants need to know of a run and the tables do not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from shopflow.domain.event import Event
from shopflow.domain.order import Move, Status
from shopflow.errors import Unavailable
from shopflow.invariants.report import Breach
from shopflow.invariants.stock import check_refusal
from shopflow.ports import Mail, Outgoing
from tests.faults.mails import MailWatch
from tests.system import service_of
from tests.taps import Crash, Tap, straight_through


class Observer:
    """A `Tap` around another one, ``faults``, that injects them: sees the effect of a call and the answer it got.

    ``faults`` injected; events ``published`` (times, by id) and ``acknowledged`` to their publisher; ``unreceipted``:
    how often the relay looked for an event's receipt and found none; ``stored``: when each event was first written to
    the audit log; ``refusals``: breaches of the rule that a refusal is true.
    """

    def __init__(self, inject: Tap = straight_through) -> None:
        self._inject = inject
        self.faults = 0
        self.published: Counter[str] = Counter()
        self.acknowledged: set[str] = set()
        self.unreceipted: Counter[str] = Counter()
        self.stored: dict[str, int] = {}
        self.refusals: list[Breach] = []
        self.mails = MailWatch()
        self._seen_stock: dict[str, Mapping[str, int]] = {}

    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        if service_of(service) == "notification" and method.startswith("queue."):
            self.mails.has_finished(service)
        try:
            answer = self._inject(service, method, partial(self._effect, service, method, call))
        except (Crash, Unavailable):
            self.faults += 1
            self.mails.is_interrupted(service)
            raise
        if method == "topic.publish":
            self.acknowledged |= {outgoing.event_id for outgoing in call.args[0]} - answer
        elif (service, method, answer) == ("relay", "audit.has", False):
            self.unreceipted[call.args[1]] += 1
        return answer

    @property
    def publications_excused(self) -> dict[str, int]:
        """By event id: an event is published again only if a fault happened and the relay found no receipt of it."""
        return {event_id: min(times, self.faults) for event_id, times in self.unreceipted.items()}

    def _effect(self, service: str, method: str, call: partial[Any]) -> Any:
        answer = call()
        match service_of(service), method:
            case _, "topic.publish":
                self._has_published(call.args[0], answer)
            case _, "queue.delete" | "queue.change_visibility":
                self.faults += bool(answer)
            case "audit", "audit.insert":
                self._has_stored(call.args[0], call.args[1], answer)
            case "inventory", "products.read":
                self._seen_stock[service] = {name: product.stock for name, product in answer.items()}
            case "inventory", "orders.commit":
                self._judge_refusals(service, *call.args)
            case "notification", "orders.read":
                self.mails.has_read(service)
            case "notification", "mailer.send":
                self._has_sent(service, call.args[0])
            case "notification", "orders.commit":
                self.mails.has_committed(call.args[0])
        return answer

    def _has_published(self, batch: Sequence[Outgoing], refused: frozenset[str]) -> None:
        self.faults += bool(refused)
        self.published.update(outgoing.event_id for outgoing in batch if outgoing.event_id not in refused)

    def _has_stored(self, events: Sequence[Event], stored_at: int, failures: Mapping[str, Exception]) -> None:
        self.faults += bool(failures)
        for event in events:
            if event.event_id not in failures:
                self.stored.setdefault(event.event_id, stored_at)

    def _has_sent(self, service: str, mail: Mail) -> None:
        self.mails.has_sent(service, mail.order_id)

    def _judge_refusals(self, service: str, moves: Sequence[Move], stock: Mapping[str, int] | None = None) -> None:
        taken = {product_id: -units for product_id, units in (stock or {}).items() if units < 0}
        for move in moves:
            if move.after.status is Status.INVENTORY_FAILED and move.before.status is Status.PENDING:
                self.refusals += check_refusal(move.after, self._seen_stock.get(service, {}), taken)
