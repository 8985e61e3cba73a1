"""What would become of a message now: the consumer's own checks, then the real handler over ports that refuse to act.

SQS keeps no reason with a dead letter, so the reason is found out anew. The handler reads the live tables; its first
effect (a write, a charge, a mail) is refused by raising `WouldAct`, which comes back as the outcome. So nothing of what
a handler decides is written down twice, and a bug in one shows here as it shows in the service.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import Move, Order
from shopflow.domain.stock import Product
from shopflow.errors import ContractBreach, Unavailable
from shopflow.messaging.handler import Done, Handler, Outcome
from shopflow.ports import AuditEntry, AuditLog, Charge, Decline, Mail, OpenOrder, Orders, Products


class Kind(StrEnum):
    """What would become of a message, the worst first."""

    BREACH = "breaks its contract"
    FAILS = "fails"
    UNKNOWN = "cannot be told"
    READY = "can be processed"
    DONE = "has had its effect"

    @property
    def worth_a_redrive(self) -> bool:
        return self in (Kind.READY, Kind.DONE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``text`` is the breach, the error, or the effect that the message would have."""

    kind: Kind
    text: str = ""


class WouldAct(Exception):
    """Refused, since this is a dry run. The text says what would have been done."""


def judge(body: str, handler: Handler, consumes: frozenset[str], contracts: Contracts) -> Verdict:
    """What a service with ``handler``, built over the ports of this module, would do with the message now."""
    try:
        event = contracts.decode(body)
    except ContractBreach as breach:
        return Verdict(Kind.BREACH, str(breach))
    if event.event_type not in consumes:
        return Verdict(Kind.DONE, f"{event.event_type} does not belong in this queue: would be acknowledged")
    try:
        return _verdict(handler.handle([event])[0])
    except Exception as error:
        return _verdict_on(error)


def _verdict(outcome: Outcome) -> Verdict:
    return Verdict(Kind.DONE) if isinstance(outcome, Done) else _verdict_on(outcome.error)


def _verdict_on(error: Exception) -> Verdict:
    if isinstance(error, WouldAct):
        return Verdict(Kind.READY, str(error))
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

    def commit(self, moves: Sequence[Move], stock: Mapping[str, int] | None = None) -> None:  # noqa: ARG002
        raise WouldAct(", ".join(map(_effect, moves)))

    def open_orders(self) -> Iterator[OpenOrder]:
        return self.orders.open_orders()


def _effect(move: Move) -> str:
    outbox = move.after.outbox
    if outbox is not None and outbox != move.before.outbox:
        reason = f" ({move.after.failure_reason})" if move.after.failure_reason else ""
        return f"would bring about {outbox.event_type}{reason}"
    return "would close the order" if move.after.opened_at is None else "would clear its outbox"


@dataclass(frozen=True, slots=True)
class ReadOnlyAuditLog:
    """`AuditLog` that can only be read. To insert what is there already is no effect."""

    log: AuditLog

    def insert(self, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:  # noqa: ARG002
        absent = [str(event.event_type) for event in events if not self.log.has(event.order_id, event.event_id)]
        if absent:
            raise WouldAct(f"would record {', '.join(absent)}")
        return {}

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
