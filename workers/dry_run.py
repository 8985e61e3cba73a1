"""What would become of messages now: the consumer's own checks, then the real handlers over ports that refuse to act.

SQS keeps no reason with a dead letter, so the reason is found out anew. A handler reads the live tables; its first
effect (a write, a charge, a mail) is refused by raising `WouldAct`, which comes back as the outcome. So nothing of what
a handler decides is written down twice, and a bug in one shows here as it shows in the service.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from shopflow.clock import Clock, HeaderFactory
from shopflow.domain.event import Event
from shopflow.domain.order import Order, Transition
from shopflow.domain.stock import Product
from shopflow.errors import Contention, ContractBreach, Unavailable
from shopflow.messaging.handler import Done, Failed, Handler, Outcome
from shopflow.messaging.outbox import Outbox
from shopflow.ports import MAX_STATEMENTS, AuditEntry, AuditLog, Charge, Decline, Mail, OpenOrder, Orders, Products
from workers.handlers import HANDLERS, WorkerPorts

BATCH = MAX_STATEMENTS
"""Events in one call of a handler: as many as the audit log takes at a time."""


class Kind(StrEnum):
    """What would become of a message, the best first."""

    READY = "can be processed"
    DONE = "has had its effect"
    UNKNOWN = "cannot be told"
    FAILS = "fails"
    BREACH = "breaks its contract"

    @property
    def would_succeed(self) -> bool:
        return self in (Kind.READY, Kind.DONE)

    @property
    def would_fail(self) -> bool:
        return self in (Kind.FAILS, Kind.BREACH)

    @property
    def rank(self) -> int:
        return list(Kind).index(self)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``text`` is the breach, the error, or the effect that the message would have."""

    kind: Kind
    text: str = ""


class Refusal(Contention):
    """Raised in place of an effect. To a handler nothing was done, and trying again at once would not help."""


class WouldAct(Refusal):
    """``effects``: what would have been done, by order id; or in one text, whichever order it is of."""

    def __init__(self, effects: Mapping[str, str] | str) -> None:
        super().__init__(effects if isinstance(effects, str) else ", ".join(effects.values()))
        self.effects = effects

    def of(self, event: Event) -> str | None:
        """What the event would bring about. None: its order was not among those that were about to be moved."""
        return self.effects if isinstance(self.effects, str) else self.effects.get(event.order_id)


class HasEffect(Refusal):
    """What would be written is there already."""


class DryRun:
    """What each service would do with a message now. ``orders``, ``products`` and ``audit`` are only read.

    Not for two threads at a time, unless the ports are.
    """

    def __init__(self, outbox: Outbox, orders: Orders, products: Products, audit: AuditLog, clock: Clock) -> None:
        self._outbox = outbox
        ports = WorkerPorts(
            orders=ReadOnlyOrders(orders),
            products=ReadOnlyProducts(products),
            audit=ReadOnlyAuditLog(audit),
            gateway=RefusingGateway(),
            mailer=RefusingMailer(),
            clock=clock,
            headers=HeaderFactory(clock),
            each=map,
        )
        self._handlers = {name: handler(ports, outbox) for name, handler in HANDLERS.items()}

    def judge(self, service: str, bodies: Sequence[str]) -> list[Verdict]:
        """The verdict on each message of the service's queue. Raises nothing: what cannot be told is `Kind.UNKNOWN`."""
        if service not in self._handlers:
            return [Verdict(Kind.UNKNOWN, f"{service} is not one of ShopFlow's own services")] * len(bodies)
        consumes = self._outbox.catalog.services[service].consumes
        verdicts: dict[str, Verdict] = {}
        events: dict[str, Event] = {}
        for body in dict.fromkeys(bodies):
            try:
                event = self._outbox.contracts.decode(body)
            except Exception as error:
                verdicts[body] = _failure(error)
                continue
            if event.event_type in consumes:
                events[body] = event
            else:
                verdicts[body] = Verdict(Kind.DONE, f"{event.event_type} does not belong here, and is acknowledged")
        for batch in _batches(events):
            judged = judge_events(self._handlers[service], list(batch.values()))
            verdicts |= dict(zip(batch, judged, strict=True))
        return [verdicts[body] for body in bodies]


def _batches(events: Mapping[str, Event]) -> Iterator[dict[str, Event]]:
    """``events`` in calls of a handler: no order and no event twice in one of them."""
    while events:
        batch: dict[str, Event] = {}
        met: set[str] = set()
        for body, event in events.items():
            if len(batch) < BATCH and not met & {event.order_id, event.event_id}:
                batch[body] = event
                met |= {event.order_id, event.event_id}
        yield batch
        events = {body: event for body, event in events.items() if body not in batch}


def judge_events(handler: Handler, events: Sequence[Event]) -> list[Verdict]:
    """What the handler, built over the ports of this module, makes of ``events``: all different, of different orders.

    An error that is given for more than one of them may be the fault of one: they are taken apart until it is alone.
    """
    try:
        outcomes: Sequence[Outcome] = handler.handle(events)
    except Exception as error:
        outcomes = [Failed(error)] * len(events)
    if len(events) > 1 and _must_be_taken_apart(events, outcomes):
        middle = len(events) // 2
        return judge_events(handler, events[:middle]) + judge_events(handler, events[middle:])
    return [_verdict(event, outcome) for event, outcome in zip(events, outcomes, strict=True)]


def _must_be_taken_apart(events: Sequence[Event], outcomes: Sequence[Outcome]) -> bool:
    failed = [(event, one.error) for event, one in zip(events, outcomes, strict=True) if isinstance(one, Failed)]
    times = Counter(id(error) for _, error in failed)
    return any(
        error.of(event) is None if isinstance(error, WouldAct) else times[id(error)] > 1 and _may_be_of_one(error)
        for event, error in failed
    )


def _may_be_of_one(error: Exception) -> bool:
    """A dependency that is down is down for all of them; to ask it for each alone would take its time for each."""
    return not isinstance(error, Unavailable)


def _verdict(event: Event, outcome: Outcome) -> Verdict:
    if isinstance(outcome, Done) or isinstance(outcome.error, HasEffect):
        return Verdict(Kind.DONE)
    if isinstance(outcome.error, WouldAct):
        return Verdict(Kind.READY, outcome.error.of(event) or str(outcome.error))
    return _failure(outcome.error)


def _failure(error: Exception) -> Verdict:
    if isinstance(error, ContractBreach):
        return Verdict(Kind.BREACH, str(error))
    if isinstance(error, Unavailable):
        return Verdict(Kind.UNKNOWN, str(error))
    return Verdict(Kind.FAILS, f"{type(error).__name__}: {error}{_place(error)}")


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" (at {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


@dataclass(frozen=True, slots=True)
class ReadOnlyOrders:
    """`Orders` that can only be read."""

    orders: Orders

    def create(self, order: Order) -> Order:
        raise WouldAct(f"would create {order.order_id}")

    def read(self, order_ids: Collection[str]) -> dict[str, Order]:
        return self.orders.read(order_ids)

    def commit(self, transitions: Sequence[Transition], stock: Mapping[str, int] | None = None) -> None:  # noqa: ARG002
        raise WouldAct({transition.before.order_id: _effect(transition) for transition in transitions})

    def open_orders(self) -> Iterator[OpenOrder]:
        return self.orders.open_orders()


def _effect(transition: Transition) -> str:
    outbox = transition.after.outbox
    if outbox is not None and outbox != transition.before.outbox:
        reason = f" ({transition.after.failure_reason})" if transition.after.failure_reason else ""
        return f"would bring about {outbox.event_type}{reason}"
    return "would close the order" if transition.after.opened_at is None else "would clear its outbox"


@dataclass(frozen=True, slots=True)
class ReadOnlyAuditLog:
    """`AuditLog` that can only be read. To insert what is there already is no effect."""

    log: AuditLog

    def insert(self, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:  # noqa: ARG002
        return {event.event_id: self._refusal(event) for event in events}

    def _refusal(self, event: Event) -> Refusal:
        there = self.log.has(event.order_id, event.event_id)
        return HasEffect("is recorded") if there else WouldAct(f"would record {event.event_type}")

    def has(self, order_id: str, event_id: str) -> bool:
        return self.log.has(order_id, event_id)

    def trail(self, order_id: str) -> list[AuditEntry]:
        return self.log.trail(order_id)


@dataclass(frozen=True, slots=True)
class ReadOnlyProducts:
    """`Products` that can only be read."""

    products: Products

    def read(self, product_ids: Collection[str], *, consistent: bool = True) -> dict[str, Product]:
        return self.products.read(product_ids, consistent=consistent)

    def all(self) -> list[Product]:
        return self.products.all()

    def seed(self, product: Product) -> bool:
        raise WouldAct(f"would add product {product.product_id}")

    def restock(self, product_id: str, units: int) -> Product | None:
        raise WouldAct(f"would add {units} to the stock of {product_id}")


class RefusingGateway:
    def charge(self, idempotency_key: str, amount: Decimal, payment_method: str | None) -> Charge | Decline:  # noqa: ARG002
        raise WouldAct(f"would charge ${amount}")


class RefusingMailer:
    def send(self, mail: Mail) -> None:
        raise WouldAct(f"would tell the customer: {mail.subject}")
