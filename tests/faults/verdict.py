"""A system over the in-memory twins that is watched and judged: which invariants do not hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from ulid import ULID

from shopflow.domain.event import Event
from shopflow.domain.order import Order, Status, Transition
from shopflow.errors import Conflict, ContractBreach, Unavailable
from shopflow.invariants import TRAIL, Breach, HeldUnits, check_order
from shopflow.memory.queues import MemoryQueue
from shopflow.ports import DLQ_RETENTION_SECONDS, Outgoing
from tests.faults.checks import check_mails, check_poison, check_publications, check_refusal
from tests.system import CONTRACTS, System, service_of
from tests.taps import Crash, Tap, straight_through

DAY_MS = 24 * 3600 * 1000
RETENTION_MS = DLQ_RETENTION_SECONDS * 1000
LOST_RACE, REPUBLICATION, RELAY_CLOSE = "a lost race", "a republication", "a close by the relay"
RETENTION_REPUBLICATION = "a republication of what no queue holds any more"
DEFERRED, PURGE = "a deferred message", "a purge of poison"
RARE = frozenset({LOST_RACE, REPUBLICATION, RELAY_CLOSE, RETENTION_REPUBLICATION, DEFERRED, PURGE})
"""What some runs must reach: otherwise they are too tame to prove anything."""


class Observer:
    """A `Tap` around ``inject``, the one that injects faults. It sees what each call does, and what it answers.

    ``relay_now``: the milliseconds of the relay's clock. ``clocks_lie``: a clock is days off.
    """

    def __init__(self, inject: Tap, relay_now: Callable[[], int], clocks_lie: bool) -> None:
        self._inject = inject
        self._relay_now = relay_now
        self._clocks_lie = clocks_lie
        self.faults = 0
        self.reached: set[str] = set()
        """The rare things that happened."""
        self.refusals: list[Breach] = []
        """Refusals for lack of stock that were not true."""
        self.mails = MailWatch()
        self.stored: dict[str, int] = {}
        """When each event was first written to the audit log, by event id."""
        self.published: Counter[str] = Counter()
        """How often each event was published, by event id."""
        self.acknowledged: set[str] = set()
        """The events of whose publication their publisher knows."""
        self.left_to_the_relay: set[str] = set()
        """The orders of which the relay published an event."""
        self.order_of: dict[str, str] = {}
        self._first_published: dict[str, int] = {}
        self._missing_receipts: Counter[str] = Counter()
        self._lost_answers: Counter[str] = Counter()
        self._relay_lives = 1
        self._seen_stock: dict[str, Mapping[str, int]] = {}

    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        took_effect = False

        def effect(*_: object) -> Any:
            nonlocal took_effect
            result = self._watch(service, method, call)
            took_effect = True
            return result

        try:
            answer = self._inject(service, method, partial(effect, *call.args))
        except Conflict:
            self.reached.add(LOST_RACE)
            raise
        except Crash:
            self.faults += 1
            self.mails.died(service)
            self._relay_lives += service in ("relay", "order")
            raise
        except Exception as error:
            self.faults += 1
            if isinstance(error, Unavailable) and took_effect:
                self._answer_was_lost(method, call)
            raise
        if method == "topic.publish":
            self.acknowledged |= {outgoing.event_id for outgoing in call.args[0]} - answer
        elif (service, method, answer) == ("relay", "audit.has", False):
            self._missing_receipts[call.args[1]] += 1
        return answer

    @property
    def publications_excused(self) -> dict[str, int]:
        """How often each event may be published again, by event id.

        As often as a fault happened and the relay found no receipt of it. An event that has outlived its copies, as far
        as the relay's clock can show, also once in 14 days and once for each life of the relay.
        """
        excused = Counter({event_id: min(times, self.faults) for event_id, times in self._missing_receipts.items()})
        for event_id, first in self._first_published.items():
            if self._is_old(event_id):
                excused[event_id] += (self._relay_now() - first) // RETENTION_MS + 1 + self._relay_lives
                excused[event_id] += self._lost_answers[event_id]
        return excused

    def _is_old(self, event_id: str) -> bool:
        """Whether the event is 14 days old, as far as the clocks can show."""
        return self._clocks_lie or self._relay_now() - ULID.from_str(event_id).milliseconds >= RETENTION_MS

    def _answer_was_lost(self, method: str, call: partial[Any]) -> None:
        if method == "topic.publish":
            self._lost_answers.update(outgoing.event_id for outgoing in call.args[0])
        elif method == "mailer.send":
            self.mails.excused[call.args[0].order_id] += 1

    def _watch(self, service: str, method: str, call: partial[Any]) -> Any:
        answer = call()
        match service_of(service), method:
            case _, "topic.publish":
                self._published(service, call.args[0], answer)
            case "relay", "orders.commit":
                self.reached |= {RELAY_CLOSE for transition in call.args[0] if transition.after.opened_at is None}
            case _, "queue.delete" | "queue.change_visibility":
                self.faults += bool(answer)
            case "audit", "audit.insert":
                self._stored(call.args[0], call.args[1], answer)
            case "inventory", "products.read":
                self._seen_stock[service] = {name: product.stock for name, product in answer.items()}
            case "inventory", "orders.commit":
                self._check_refusals(service, *call.args)
            case "notification", "orders.read":
                self.mails.read(service)
            case "notification", "mailer.send":
                self.mails.sent(service, call.args[0].order_id)
            case "notification", "orders.commit_each":
                self.faults += bool(answer)
                self.mails.committed([one for one in call.args[0] if one.before.order_id not in answer])
        return answer

    def _published(self, service: str, batch: Sequence[Outgoing], refused: frozenset[str]) -> None:
        self.faults += bool(refused)
        ids = {outgoing.event_id for outgoing in batch}
        if service == "relay":
            self.left_to_the_relay |= {outgoing.order_id for outgoing in batch}
            is_old = any(map(self._is_old, self.stored.keys() & ids))
            self.reached.add(RETENTION_REPUBLICATION if is_old else REPUBLICATION)
        for outgoing in batch:
            self.order_of[outgoing.event_id] = outgoing.order_id
            self._first_published.setdefault(outgoing.event_id, self._relay_now())
        self.published.update(outgoing.event_id for outgoing in batch if outgoing.event_id not in refused)

    def _stored(self, events: Sequence[Event], stored_at: int, failures: Mapping[str, Exception]) -> None:
        self.faults += bool(failures)
        for event in events:
            if event.event_id not in failures:
                self.stored.setdefault(event.event_id, stored_at)

    def _check_refusals(
        self, service: str, transitions: Sequence[Transition], stock: Mapping[str, int] | None = None
    ) -> None:
        taken = {product_id: -units for product_id, units in (stock or {}).items()}
        for transition in transitions:
            if transition.after.status is Status.INVENTORY_FAILED and transition.before.status is Status.PENDING:
                self.refusals += check_refusal(transition.after, self._seen_stock.get(service, {}), taken)


class MailWatch:
    """Counts the ``excused`` mails by order: those with one of the three reasons of invariant 6.

    The process that sent the first mail died, another process had the message too, or the mailer did not answer.
    However long a fault lasts, a process sends an order's mail once in its life.
    """

    def __init__(self) -> None:
        self.excused: Counter[str] = Counter()
        self._steps = count()
        self._lives: Counter[str] = Counter()
        self._read_at: dict[str, int] = {}
        self._senders: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
        self._recorded_at: dict[str, int] = {}

    def read(self, process: str) -> None:
        """The process has read the orders of its batch."""
        self._read_at[process] = next(self._steps)

    def sent(self, process: str, order_id: str) -> None:
        """A mail is excused when this life of the process is not the first to send it, sends it for the first time, and
        could not know that it was recorded."""
        life, senders = (process, self._lives[process]), self._senders[order_id]
        knew = self._recorded_at.get(order_id, next(self._steps)) < self._read_at[process]
        if senders and life not in senders and not knew:
            self.excused[order_id] += 1
        senders.add(life)

    def committed(self, transitions: Sequence[Transition]) -> None:
        now = next(self._steps)
        for transition in transitions:
            if transition.after.notified_at is not None:
                self._recorded_at.setdefault(transition.before.order_id, now)

    def died(self, process: str) -> None:
        self._lives[process] += 1


class WatchedSystem(System):
    """A system with an `Observer` around ``inject``. ``accepted``: the ids of the orders that the API accepted.

    Message bodies by service: the ``poison`` put into its queue, and what the operator ``purged``. ``misdated``: bodies
    that are poison or not, depending on what became of their order meanwhile.
    """

    def __init__(self, stock: Mapping[str, int], inject: Tap = straight_through, **options: Any) -> None:
        skews = (options.get("skew") or {}).values()
        clocks_lie = any(abs(milliseconds) >= DAY_MS for milliseconds in skews)
        self.observer = Observer(inject, lambda: self.clock_of("relay").now_ms(), clocks_lie)
        self.accepted: list[str] = []
        self.poison: defaultdict[str, set[str]] = defaultdict(set)
        self.purged: defaultdict[str, set[str]] = defaultdict(set)
        self.misdated: set[str] = set()
        super().__init__(stock, tap=self.observer, **options)

    def place(self, *args: Any, **options: Any) -> Order:
        order = super().place(*args, **options)
        self.accepted.append(order.order_id)
        return order

    def breaches(self, max_seconds: float = 4 * 3600) -> list[Breach]:
        """The breaches of all invariants, once nothing is left to do. That must be within ``max_seconds``."""
        is_quiet = self.run_until_quiet(max_seconds)
        entries = [entry for order_id in self.tables.orders for entry in self.audit.trail(order_id)]
        recorded = {entry.event.event_id: entry.stored_at for entry in entries}
        unrecorded = (self._expired_before_audit() & self.observer.published.keys()) - recorded.keys()
        return [
            *([] if is_quiet else [Breach(1, "the system", f"does not come to rest in {max_seconds:g} s")]),
            *self._of_orders(unrecorded),
            *self._of_acceptance(),
            *self.observer.refusals,
            *self._of_stock(),
            *self._of_the_audit_log(recorded, unrecorded),
            *self._of_dead_letters(),
            *check_publications(self.observer.published, self.observer.publications_excused),
        ]

    def _of_orders(self, unrecorded: Set[str]) -> Iterator[Breach]:
        for order in self.twins.orders.all():
            charge = self.gateway.ledger.get(order.order_id)
            trail = [entry.event for entry in self.audit.trail(order.order_id)]
            has_a_hole = any(self.observer.order_of[event_id] == order.order_id for event_id in unrecorded)
            for breach in check_order(order, trail, [charge] if charge else []):
                if not (has_a_hole and breach.invariant == TRAIL):
                    yield breach
            excused = self.observer.mails.excused[order.order_id]
            yield from check_mails(order, self.mailer.sent[order.order_id], excused)
        for key in self.gateway.ledger.keys() - self.tables.orders.keys():
            yield Breach(3, key, "charged under a key that is no order's")

    def _of_acceptance(self) -> Iterator[Breach]:
        for order_id in self.accepted:
            if order_id not in self.tables.orders:
                yield Breach(1, order_id, "was accepted, but is not there")
        keys = Counter(order.idempotency_key for order in self.twins.orders.all())
        for key, orders in keys.items():
            if orders > 1:
                yield Breach(1, str(key), f"one idempotency key, {orders} orders")

    def _of_stock(self) -> Iterator[Breach]:
        reserved = HeldUnits()
        for order in self.twins.orders.all():
            reserved.add(order)
        return reserved.check(self.twins.products.all())

    def _of_the_audit_log(self, recorded: Mapping[str, int], unrecorded: Set[str]) -> Iterator[Breach]:
        """No entry is ever changed, and whatever was published is in some order's trail."""
        for event_id, stored_at in recorded.items():
            if stored_at != self.observer.stored[event_id]:
                yield Breach(4, event_id, "its audit entry was overwritten")
        for event_id in self.observer.published.keys() - recorded.keys() - unrecorded:
            yield Breach(4, event_id, "was published, but is in no order's trail")

    def _of_dead_letters(self) -> Iterator[Breach]:
        """Dead letters are poison. All poison is there, or was purged, or was deleted by SQS after its retention."""
        for service, dlq in self.dlqs.items():
            poison, purged = self.poison[service], self.purged[service]
            dead = _bodies(dlq) - self.misdated
            gone = purged | {*dlq.expired, *self.queues[service].expired}
            yield from check_poison(service, dead, (poison - gone) | (poison & dead))
            for body in sorted(purged - poison - self.misdated):
                yield Breach(5, service, f"work was purged that can be done: {body[:120]}")

    def _expired_before_audit(self) -> frozenset[str]:
        """The ids of the events that waited for the Audit Service until SQS deleted them. Nobody can record them."""
        found = set()
        for body in (*self.queues["audit"].expired, *self.dlqs["audit"].expired):
            with suppress(ContractBreach):
                found.add(CONTRACTS.decode(body).event_id)
        return frozenset(found)


def _bodies(queue: MemoryQueue) -> frozenset[str]:
    bodies: set[str] = set()
    while received := queue.receive(10, 0):
        bodies.update(message.body for message in received)
    return frozenset(bodies)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run under faults. ``breaches()`` makes it, and returns what of the invariants does not hold."""

    name: str
    breaches: Callable[[], list[Breach]]

    def __str__(self) -> str:
        return self.name
