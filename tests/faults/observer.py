"""What the invariants need to know of a run and the tables do not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ulid import ULID

from shopflow.domain.event import Event
from shopflow.domain.order import Status, Transition
from shopflow.errors import Conflict, Unavailable
from shopflow.invariants import Breach
from shopflow.ports import DLQ_RETENTION_SECONDS, Mail, Outgoing
from tests.faults.checks import check_refusal
from tests.faults.mails import MailWatch
from tests.system import service_of
from tests.taps import Crash, Tap, straight_through

RETENTION_MS = DLQ_RETENTION_SECONDS * 1000
LOST_RACE, REPUBLICATION, RELAY_CLOSE = "a lost race", "a republication", "a close by the relay"
RETENTION_REPUBLICATION = "a republication of what no queue holds any more"
HELD, PURGE = "a held message", "a purge of poison"
RARE = frozenset({LOST_RACE, REPUBLICATION, RELAY_CLOSE, RETENTION_REPUBLICATION, HELD, PURGE})
"""What some runs must have come to: else they are too tame to prove anything."""


class Observer:
    """A `Tap` around another one, ``inject``, that injects faults: sees the effect of a call and the answer it got.

    ``faults`` injected; events ``published`` (times, by id), the order of each, and those ``acknowledged`` to their
    publisher; ``left_to_the_relay``: orders of which it published an event; ``unreceipted``: how often it looked for an
    event's receipt and found none; ``unanswered``: publications whose answer was lost; ``stored``: when each event was
    first written to the audit log; ``refusals``: breaches of the rule that a refusal is true; ``reached``: the rare
    things that happened; ``clocks_lie``: a clock is days off. ``relay_now``: the relay's clock (ms).
    """

    def __init__(self, inject: Tap = straight_through, relay_now: Callable[[], int] = lambda: 0) -> None:
        self._inject = inject
        self._relay_now = relay_now
        self._lives_of_the_relay = 1
        self.clocks_lie = False
        self.left_to_the_relay: set[str] = set()
        self.faults = 0
        self.reached: set[str] = set()
        self.published: Counter[str] = Counter()
        self.acknowledged: set[str] = set()
        self.unreceipted: Counter[str] = Counter()
        self.order_of: dict[str, str] = {}
        self._first_published: dict[str, int] = {}
        self.unanswered: Counter[str] = Counter()
        self.stored: dict[str, int] = {}
        self.refusals: list[Breach] = []
        self.mails = MailWatch()
        self._seen_stock: dict[str, Mapping[str, int]] = {}

    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        took_effect = False

        def effect(*_: object) -> Any:
            nonlocal took_effect
            result = self._effect(service, method, call)
            took_effect = True
            return result

        try:
            answer = self._inject(service, method, partial(effect, *call.args))
        except (Crash, Unavailable) as error:
            self.faults += 1
            if isinstance(error, Crash):
                self.mails.has_died(service)
                self._lives_of_the_relay += service in ("relay", "order")
            elif method == "topic.publish" and took_effect:
                self.unanswered.update(outgoing.event_id for outgoing in call.args[0])
            elif method == "mailer.send" and took_effect:
                self.mails.got_no_answer(call.args[0].order_id)
            raise
        except Conflict:
            self.reached.add(LOST_RACE)
            raise
        except Exception:
            self.faults += 1
            raise
        if method == "topic.publish":
            self.acknowledged |= {outgoing.event_id for outgoing in call.args[0]} - answer
        elif (service, method, answer) == ("relay", "audit.has", False):
            self.unreceipted[call.args[1]] += 1
        return answer

    @property
    def publications_excused(self) -> dict[str, int]:
        """By event id: an event is published again only if a fault happened and the relay found no receipt of it.

        Or if it has outlived its copies, as far as the relay's clock can tell: then once in 14 days, and once for each
        life of the relay.
        """
        excused = Counter({event_id: min(times, self.faults) for event_id, times in self.unreceipted.items()})
        for event_id, first in self._first_published.items():
            if self._is_old(event_id):
                excused[event_id] += (self._relay_now() - first) // RETENTION_MS + 1 + self._lives_of_the_relay
                excused[event_id] += self.unanswered[event_id]
        return excused

    def _is_old(self, event_id: str) -> bool:
        """Whether the event's time is 14 days ago, as far as the clocks can tell."""
        return self.clocks_lie or self._relay_now() - ULID.from_str(event_id).milliseconds >= RETENTION_MS

    def _effect(self, service: str, method: str, call: partial[Any]) -> Any:
        answer = call()
        match service_of(service), method:
            case _, "topic.publish":
                self._has_published(service, call.args[0], answer)
            case "relay", "orders.commit":
                self.reached |= {RELAY_CLOSE for transition in call.args[0] if transition.after.opened_at is None}
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

    def _has_published(self, service: str, batch: Sequence[Outgoing], refused: frozenset[str]) -> None:
        self.faults += bool(refused)
        if service == "relay":
            self.left_to_the_relay |= {outgoing.order_id for outgoing in batch}
            stored = self.stored.keys() & {outgoing.event_id for outgoing in batch}
            self.reached |= {RETENTION_REPUBLICATION if any(map(self._is_old, stored)) else REPUBLICATION}
        for outgoing in batch:
            self._first_published.setdefault(outgoing.event_id, self._relay_now())
        self.order_of |= {outgoing.event_id: outgoing.order_id for outgoing in batch}
        self.published.update(outgoing.event_id for outgoing in batch if outgoing.event_id not in refused)

    def _has_stored(self, events: Sequence[Event], stored_at: int, failures: Mapping[str, Exception]) -> None:
        self.faults += bool(failures)
        for event in events:
            if event.event_id not in failures:
                self.stored.setdefault(event.event_id, stored_at)

    def _has_sent(self, service: str, mail: Mail) -> None:
        self.mails.has_sent(service, mail.order_id)

    def _judge_refusals(
        self, service: str, transitions: Sequence[Transition], stock: Mapping[str, int] | None = None
    ) -> None:
        taken = {product_id: -units for product_id, units in (stock or {}).items() if units < 0}
        for transition in transitions:
            if transition.after.status is Status.INVENTORY_FAILED and transition.before.status is Status.PENDING:
                self.refusals += check_refusal(transition.after, self._seen_stock.get(service, {}), taken)
