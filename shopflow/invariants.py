"""What must hold of every order, whatever crashed: pure checks over orders, stock, audit trails and messages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields, replace
from itertools import pairwise

from shopflow.domain.event import Event, is_transition, replay
from shopflow.domain.order import IllegalTransition, Order, Status
from shopflow.domain.stock import Product
from shopflow.ports import Charge

INVARIANTS: Mapping[int, str] = {
    1: "every accepted order ends, and closes",
    2: "units received = stock + units held by orders",
    3: "one charge per charged order",
    4: "the audit trail is a legal one and replays to the order",
    5: "the dead-letter queues hold poison only",
    6: "the customer is told, and no more often than a fault explains",
    7: "no event is published more often than a fault explains",
}


@dataclass(frozen=True, slots=True)
class Breach:
    """One invariant that does not hold of one subject (an order, a product, a queue or an event).

    ``may_pass``: it is also what work that is still on its way looks like, so it counts once the system is quiet.
    """

    invariant: int
    subject: str
    text: str
    may_pass: bool = False

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.subject}: {self.text}"


class Report:
    """Counts per invariant: subjects checked and breaches found, with the first ``most_offenders`` of each."""

    def __init__(self, most_offenders: int = 5) -> None:
        self._most_offenders = most_offenders
        self.checked: Counter[int] = Counter()
        self.breached: Counter[int] = Counter()
        self.offenders: defaultdict[int, list[Breach]] = defaultdict(list)

    def saw(self, invariants: Iterable[int]) -> None:
        """One more subject was checked for each of ``invariants``."""
        self.checked.update(invariants)

    def add(self, breaches: Iterable[Breach]) -> None:
        for breach in breaches:
            self.breached[breach.invariant] += 1
            if len(self.offenders[breach.invariant]) < self._most_offenders:
                self.offenders[breach.invariant].append(breach)

    @property
    def holds(self) -> bool:
        return not self.breached


_MAX_CHARS = 120


def check_dead_letters(service: str, dead: Set[str], poison: Set[str]) -> Iterator[Breach]:
    """The breaches in one dead-letter queue: bodies that were no poison, and poison that is not there."""
    for body in sorted(dead - poison):
        yield Breach(5, service, f"holds work that can be done: {body[:_MAX_CHARS]}")
    for body in sorted(poison - dead):
        yield Breach(5, service, f"does not hold the poison {body[:_MAX_CHARS]}")


def check_publications(published: Mapping[str, int], excused: Mapping[str, int]) -> Iterator[Breach]:
    """The events published more often than once plus what faults explain. Both counts are by event id."""
    for event_id, times in sorted(published.items()):
        if times > 1 + excused.get(event_id, 0):
            yield Breach(7, event_id, f"published {times} times, {excused.get(event_id, 0)} explained by faults")


class HeldUnits:
    """The units that orders hold, by product. Takes one order at a time; as large as the assortment, not the orders."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    def add(self, order: Order) -> None:
        if order.holds_stock:
            for line in order.lines:
                self._held[line.product_id] += line.quantity

    def missing(self, product: Product) -> int:
        """Units received that are neither in stock nor held; negative when there are more than were received."""
        return product.received - product.stock - self._held[product.product_id]

    def check(self, products: Collection[Product]) -> Iterator[Breach]:
        """The breaches, once every order was added. ``products`` is the whole assortment, as it stood meanwhile."""
        yield from check_levels(products)
        for product in products:
            if missing := self.missing(product):
                held = self._held[product.product_id]
                text = f"received {product.received}, in stock {product.stock}, held {held}: {missing:+} missing"
                yield Breach(2, product.product_id, text, may_pass=True)
        for product_id in sorted(self._held.keys() - {product.product_id for product in products}):
            yield Breach(2, product_id, f"{self._held[product_id]} units are held of a product that does not exist")


def check_levels(products: Collection[Product]) -> Iterator[Breach]:
    """At no time are there less than no units of a product."""
    for product in products:
        if product.stock < 0:
            yield Breach(2, product.product_id, f"its stock is {product.stock}")


def check_refusal(order: Order, seen: Mapping[str, int], taken: Mapping[str, int]) -> Iterator[Breach]:
    """A refusal is true of the stock that was ``seen``, less what the same write has ``taken`` (units by product)."""
    left = {line.product_id: seen.get(line.product_id, 0) - taken.get(line.product_id, 0) for line in order.lines}
    if all(left[line.product_id] >= line.quantity for line in order.lines):
        yield Breach(2, order.order_id, f"refused though the units are there: {left} left of what was seen")


OF_AN_ORDER = (1, 3, 4, 6)
"""The invariants that `check_order` checks."""
_CHARGED = (Status.PAYMENT_PROCESSED, Status.COMPLETED)


@dataclass(frozen=True, slots=True)
class Evidence:
    """An order, its audit trail and the charges made under its idempotency key, all at about the same moment.

    ``mails``: how often the customer was told, None where nobody counts; ``mails_excused``: how many of those a fault
    explains (the sender died before recording it, could not record it, or two copies were in flight at once).
    """

    order: Order
    trail: Sequence[Event]
    charges: Sequence[Charge]
    mails: int | None = None
    mails_excused: int = 0


def check_order(evidence: Evidence) -> Iterator[Breach]:
    """The breaches of invariants 1, 3, 4 and 6."""
    yield from _check_closing(evidence.order)
    yield from _check_charges(evidence.order, evidence.charges)
    yield from _check_trail(evidence.order, evidence.trail)
    yield from _check_told(evidence)


def as_replayed(order: Order) -> Order:
    """``order`` less what is in none of its events: what replaying its whole trail must give.

    Only the Notification Service writes COMPLETED and that the customer is told; the rest is the sender's bookkeeping.
    """
    status = Status.PAYMENT_PROCESSED if order.status is Status.COMPLETED else order.status
    order = replace(order, status=status, notified_at=None, outbox=None, superseded=None, opened_at=None)
    return replace(order, idempotency_key=None, request_hash=None)


def charged_as_expected(order: Order, transaction_id: str) -> list[Charge]:
    """The charges that a gateway with one transaction per key has of ``order``, where its ledger cannot be asked."""
    return [Charge(transaction_id, order.total_amount)] if order.status in _CHARGED else []


def _check_closing(order: Order) -> Iterator[Breach]:
    if not order.status.terminal:
        yield Breach(1, order.order_id, f"is still {order.status}", may_pass=True)
    elif order.opened_at is not None:
        yield Breach(1, order.order_id, f"{order.status} but still open: {_undone(order)}", may_pass=True)
    elif not order.is_finished or order.outbox is not None:
        yield Breach(1, order.order_id, f"{order.status} and closed: {_undone(order)}")


def _undone(order: Order) -> str:
    undone = []
    if order.notified_at is None:
        undone.append("the customer is not told")
    if order.status is Status.PAYMENT_FAILED and order.released_at is None:
        undone.append("its stock is not released")
    if order.outbox is not None:
        undone.append(f"{order.outbox.event_type} is in its outbox")
    return ", ".join(undone) or "nothing is left undone"


def _check_charges(order: Order, charges: Sequence[Charge]) -> Iterator[Breach]:
    if order.status not in _CHARGED:
        if charges or order.transaction_id is not None:
            between = order.status is Status.INVENTORY_RESERVED and order.transaction_id is None
            yield Breach(3, order.order_id, f"is {order.status} but charged: {charges}", may_pass=between)
    elif len(charges) != 1:
        yield Breach(3, order.order_id, f"is {order.status} with {len(charges)} charges")
    elif charges[0] != Charge(order.transaction_id or "", order.total_amount):
        recorded = f"{order.transaction_id} over {order.total_amount}"
        yield Breach(3, order.order_id, f"records {recorded}, the gateway {charges[0]}")
    elif order.charged_amount != order.total_amount:
        yield Breach(3, order.order_id, f"charged {order.charged_amount}, not its total of {order.total_amount}")


def _check_trail(order: Order, whole_trail: Sequence[Event]) -> Iterator[Breach]:
    trail = list(filter(is_transition, whole_trail))
    types = tuple(event.event_type for event in trail)
    if types != order.trail:
        on_its_way = _lacks_only(types, order.trail)
        yield Breach(4, order.order_id, f"{order.status} with the trail {_names(types)}", may_pass=on_its_way)
        return
    for cause, event in pairwise([None, *trail]):
        if event is not None and not _follows(event, cause):
            yield Breach(4, order.order_id, f"{event.event_type} does not follow from the entry before it")
    yield from _check_replay(order, trail)


def _lacks_only(types: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether ``types`` is ``whole`` with some left out: those may still be on their way to the audit log."""
    rest = iter(whole)
    return all(event_type in rest for event_type in types)


def _follows(event: Event, cause: Event | None) -> bool:
    if cause is None:
        return event.causation_id is None
    in_time = event.time_ms > cause.time_ms and event.event_id > cause.event_id
    return in_time and event.causation_id == cause.event_id


def _check_replay(order: Order, trail: Sequence[Event]) -> Iterator[Breach]:
    try:
        replayed = replay(trail)
    except (IllegalTransition, LookupError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
        yield Breach(4, order.order_id, f"does not replay: {error}")
        return
    recorded = as_replayed(order)
    if replayed != recorded:
        differing = [one.name for one in fields(Order) if getattr(replayed, one.name) != getattr(recorded, one.name)]
        yield Breach(4, order.order_id, f"replays to another {', '.join(differing)}")


def _check_told(evidence: Evidence) -> Iterator[Breach]:
    order, mails = evidence.order, evidence.mails
    if order.notified_at is None:
        if order.status.terminal:
            is_open = order.opened_at is not None
            yield Breach(6, order.order_id, "the customer is not told how it ended", may_pass=is_open)
    elif mails == 0:
        yield Breach(6, order.order_id, "is recorded as told, but no mail was sent")
    elif mails is not None and mails > 1 + evidence.mails_excused:
        yield Breach(6, order.order_id, f"told {mails} times, {evidence.mails_excused} of them explained by faults")


def _names(types: Sequence[str]) -> str:
    return ", ".join(types) or "of no event"
