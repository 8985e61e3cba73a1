"""What must hold of every order after any crash: pure checks of orders, stock, audit trails and messages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

from shopflow.domain.event import Event, is_transition, replay
from shopflow.domain.order import Order, Status
from shopflow.domain.stock import Product
from shopflow.ports import Charge

INVARIANTS: Mapping[int, str] = {
    1: "every accepted order ends, and closes",
    2: "units received = stock + units held by orders",
    3: "one charge per charged order",
    4: "the audit trail is a legal one and replays to the order",
    5: "the dead-letter queues have poison only",
    6: "the customer is notified, and more than once only after a fault",
    7: "an event is published more than once only after a fault",
}


@dataclass(frozen=True, slots=True)
class Breach:
    """One invariant that one subject breaks: an order, a product, a queue or an event.

    ``may_pass``: unfinished work looks the same, so it counts as a breach only when the system is quiet.
    """

    invariant: int
    subject: str
    text: str
    may_pass: bool = False

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.subject}: {self.text}"


class Report:
    """Counts by invariant: subjects checked and breaches found, with the first ``max_offenders`` breaches of each."""

    def __init__(self, max_offenders: int = 20) -> None:
        self._max_offenders = max_offenders
        self.checked: Counter[int] = Counter()
        self.breached: Counter[int] = Counter()
        self.offenders: defaultdict[int, list[Breach]] = defaultdict(list)

    def add(self, breaches: Iterable[Breach]) -> None:
        for breach in breaches:
            self.breached[breach.invariant] += 1
            if len(self.offenders[breach.invariant]) < self._max_offenders:
                self.offenders[breach.invariant].append(breach)

    @property
    def holds(self) -> bool:
        return not self.breached


class HeldUnits:
    """The units that orders hold, by product. Its size depends on the products, not on the orders."""

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
        """The breaches, after every order was added. ``products``: all of them, read at about the same time."""
        yield from check_levels(products)
        for product in products:
            if missing := self.missing(product):
                held = self._held[product.product_id]
                text = f"received {product.received}, in stock {product.stock}, held {held}: {missing:+} missing"
                yield Breach(2, product.product_id, text, may_pass=True)
        for product_id in sorted(self._held.keys() - {product.product_id for product in products}):
            yield Breach(2, product_id, f"{self._held[product_id]} units are held of a product that does not exist")


def check_levels(products: Collection[Product]) -> Iterator[Breach]:
    """The breaches that no unfinished work explains: a stock below zero."""
    for product in products:
        if product.stock < 0:
            yield Breach(2, product.product_id, f"its stock is {product.stock}")


TRAIL = 4
OF_AN_ORDER = (1, 3, TRAIL, 6)
"""The invariants that `check_order` checks."""
_CHARGED = (Status.PAYMENT_PROCESSED, Status.COMPLETED)


def check_order(order: Order, trail: Sequence[Event], charges: Sequence[Charge]) -> Iterator[Breach]:
    """The breaches of invariants 1, 3, 4 and 6.

    ``trail`` and ``charges`` (those under the order's idempotency key) were read at about the same time as ``order``.
    """
    yield from _check_closing(order)
    yield from _check_charges(order, charges)
    yield from check_trail(order, trail)
    if order.status.terminal and order.notified_at is None:
        is_open = order.opened_at is not None
        yield Breach(6, order.order_id, "the customer is not notified of the result", may_pass=is_open)


def only_lacks_its_close(order: Order, trail: Sequence[Event]) -> bool:
    """Whether nothing is left to do but the relay's close: every effect is made, and the last event is recorded."""
    recorded = order.outbox is None or any(event.event_id == order.outbox.event_id for event in trail)
    return recorded and replace(order, outbox=None).is_finished


def as_replayed(order: Order) -> Order:
    """``order`` without the fields that no event records. A replay of its whole trail must give the same.

    Only the Notification Service writes COMPLETED and ``notified_at``. Events are kept for ever, so no event has the
    e-mail address. The other fields are for idempotency and for the relay.
    """
    status = Status.PAYMENT_PROCESSED if order.status is Status.COMPLETED else order.status
    order = replace(order, status=status, notified_at=None, outbox=None, superseded=None, opened_at=None)
    return replace(order, idempotency_key=None, request_hash=None, email=None)


def charged_as_expected(order: Order, transaction_id: str) -> list[Charge]:
    """The charges that ``order`` must have at a gateway that makes one transaction for each key.

    For a gateway whose charges cannot be read.
    """
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
        undone.append("the customer is not notified")
    if order.status is Status.PAYMENT_FAILED and order.released_at is None:
        undone.append("its stock is not released")
    if order.outbox is not None:
        undone.append(f"{order.outbox.event_type} is in its outbox")
    return ", ".join(undone) or "every step is done"


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


def check_trail(order: Order, whole_trail: Sequence[Event]) -> Iterator[Breach]:
    """The breaches of invariant 4: the trail is legal, each event follows from the one before, and it replays."""
    trail = list(filter(is_transition, whole_trail))
    types = tuple(event.event_type for event in trail)
    if types != order.trail:
        on_its_way = _lacks_only(types, order.trail)
        yield Breach(TRAIL, order.order_id, f"{order.status} with the trail {_names(types)}", may_pass=on_its_way)
        return
    for cause, event in pairwise([None, *trail]):
        if event is not None and not _follows(event, cause):
            yield Breach(TRAIL, order.order_id, f"{event.event_type} does not follow from the entry before it")
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
    replayed = rebuilt(trail)
    if replayed is None:
        yield Breach(TRAIL, order.order_id, "does not replay")
        return
    recorded = as_replayed(order)
    if replayed != recorded:
        differing = [one.name for one in fields(Order) if getattr(replayed, one.name) != getattr(recorded, one.name)]
        yield Breach(TRAIL, order.order_id, f"replays to another {', '.join(differing)}")


def rebuilt(trail: Sequence[Event]) -> Order | None:
    """The order that the events add up to. None: there are none, they are not a legal trail, or one is malformed."""
    try:
        return replay(trail)
    except (LookupError, ValueError, TypeError, ArithmeticError, AttributeError):
        return None


def _names(types: Sequence[str]) -> str:
    return ", ".join(types) or "of no event"
