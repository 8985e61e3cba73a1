"""The order and its state machine.

An `Order` is immutable. A `Transition` pairs the order before and after one step of its saga with the fields that the
decision relied on. A store commits it in one conditional write.

    PENDING ─▶ INVENTORY_RESERVED ─▶ PAYMENT_PROCESSED ─▶ COMPLETED
       └─▶ INVENTORY_FAILED  └─▶ PAYMENT_FAILED (stock released)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    PENDING = "PENDING"
    INVENTORY_RESERVED = "INVENTORY_RESERVED"
    INVENTORY_FAILED = "INVENTORY_FAILED"
    PAYMENT_PROCESSED = "PAYMENT_PROCESSED"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    COMPLETED = "COMPLETED"

    @property
    def terminal(self) -> bool:
        return self in (Status.COMPLETED, Status.INVENTORY_FAILED, Status.PAYMENT_FAILED)


class EventType(StrEnum):
    ORDER_CREATED = "order.created"
    INVENTORY_RESERVED = "inventory.reserved"
    INVENTORY_FAILED = "inventory.failed"
    PAYMENT_PROCESSED = "payment.processed"
    PAYMENT_FAILED = "payment.failed"
    INVENTORY_RELEASED = "inventory.released"


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One arrow of the state machine: the status it leaves (None: the order is new) and the status it enters."""

    leaves: Status | None
    enters: Status


TRANSITIONS: Mapping[EventType, StatusChange] = {
    EventType.ORDER_CREATED: StatusChange(None, Status.PENDING),
    EventType.INVENTORY_RESERVED: StatusChange(Status.PENDING, Status.INVENTORY_RESERVED),
    EventType.INVENTORY_FAILED: StatusChange(Status.PENDING, Status.INVENTORY_FAILED),
    EventType.PAYMENT_PROCESSED: StatusChange(Status.INVENTORY_RESERVED, Status.PAYMENT_PROCESSED),
    EventType.PAYMENT_FAILED: StatusChange(Status.INVENTORY_RESERVED, Status.PAYMENT_FAILED),
    EventType.INVENTORY_RELEASED: StatusChange(Status.PAYMENT_FAILED, Status.PAYMENT_FAILED),
}

_RESERVED_TRAIL = (EventType.ORDER_CREATED, EventType.INVENTORY_RESERVED)

LEGAL_TRAILS: Mapping[Status, tuple[EventType, ...]] = {
    Status.COMPLETED: (*_RESERVED_TRAIL, EventType.PAYMENT_PROCESSED),
    Status.INVENTORY_FAILED: (EventType.ORDER_CREATED, EventType.INVENTORY_FAILED),
    Status.PAYMENT_FAILED: (*_RESERVED_TRAIL, EventType.PAYMENT_FAILED, EventType.INVENTORY_RELEASED),
}
"""The whole audit trail of a finished order, by its terminal status."""


class IllegalTransition(ValueError):
    """The order's status does not allow this transition. The caller decided about an order that it had not read."""


@dataclass(frozen=True, slots=True)
class Line:
    """One product of an order, at the price of the moment it was ordered."""

    product_id: str
    product_name: str
    quantity: int
    unit_price: Decimal

    @property
    def line_total(self) -> Decimal:
        return self.unit_price * self.quantity


@dataclass(frozen=True, slots=True)
class EventHeader:
    """The identity of an event. The rest of the event can be rebuilt from the order (`payload_of`).

    ``trace_parent``: the trace of the work that caused it (`shopflow.telemetry`).
    """

    event_id: str
    event_type: EventType
    time_ms: int
    causation_id: str | None = None
    trace_parent: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An order, with its one event that may still be unpublished (``outbox``).

    ``superseded`` is the event that a release replaced in the outbox before the customer was notified. ``opened_at`` is
    set while the saga is unfinished. ``request_hash`` identifies the request body that came with ``idempotency_key``.
    ``email`` is for the Notification Service alone: no event, no answer and no log line has it (docs/adr/0009).
    """

    order_id: str
    customer_id: str
    lines: tuple[Line, ...]
    created_at: int
    updated_at: int
    status: Status = Status.PENDING
    payment_method: str | None = None
    failure_reason: str | None = None
    transaction_id: str | None = None
    charged_amount: Decimal | None = None
    released_at: int | None = None
    notified_at: int | None = None
    outbox: EventHeader | None = None
    superseded: EventHeader | None = None
    opened_at: int | None = None
    idempotency_key: str | None = None
    request_hash: str | None = None
    email: str | None = field(default=None, repr=False)

    @property
    def total_amount(self) -> Decimal:
        return sum((line.line_total for line in self.lines), Decimal("0.00"))

    @property
    def trail(self) -> tuple[EventType, ...]:
        """The events that have happened to this order, in order."""
        if self.status in LEGAL_TRAILS:
            whole = LEGAL_TRAILS[self.status]
            unreleased = self.status is Status.PAYMENT_FAILED and self.released_at is None
            return whole[:-1] if unreleased else whole
        if self.status is Status.PAYMENT_PROCESSED:
            return LEGAL_TRAILS[Status.COMPLETED]
        return _RESERVED_TRAIL if self.status is Status.INVENTORY_RESERVED else _RESERVED_TRAIL[:1]

    @property
    def holds_stock(self) -> bool:
        """Whether this order's units are taken out of the stock."""
        return EventType.INVENTORY_RESERVED in self.trail and self.released_at is None

    @property
    def is_finished(self) -> bool:
        """Whether no step is left to do. Then the order can be closed."""
        if self.notified_at is None:
            return False
        if self.status is Status.PAYMENT_FAILED:
            return self.released_at is not None and self.outbox is None
        return self.status.terminal


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one order: the order as read, the order as it will be, and the fields that the decision relied on.

    A store commits it in one write, on condition that each field of ``guard`` is still as in ``before``.
    """

    before: Order
    after: Order
    guard: tuple[str, ...]

    def changes(self) -> dict[str, Any]:
        """The fields that change, with their new values. None removes the field."""
        names = self.before.__dataclass_fields__
        pairs = ((name, getattr(self.before, name), getattr(self.after, name)) for name in names)
        return {name: new for name, old, new in pairs if old != new}

    def is_allowed_on(self, current: Order) -> bool:
        return all(getattr(current, name) == getattr(self.before, name) for name in self.guard)

    def was_committed_on(self, current: Order) -> bool:
        """Whether ``current`` shows that this transition was committed although the answer was lost.

        The id of its event shows it. A transition without an event looks the same whichever worker made it; then
        another worker's counts as this one.
        """
        if self.after.outbox is not None and self.after.outbox != self.before.outbox:
            return current.outbox == self.after.outbox
        notified_alike = (current.notified_at is None) == (self.after.notified_at is None)
        changes = {name: new for name, new in self.changes().items() if name != "notified_at"}
        return notified_alike and all(getattr(current, name) == new for name, new in changes.items())


def was_committed(transitions: Sequence[Transition], standing: Mapping[str, Order]) -> bool:
    """Whether the ``standing`` orders, by id, show that ``transitions`` were committed although the answer was lost.

    All of them must show it: a single one may be the work of another worker.
    """
    made = [
        transition.before.order_id in standing and transition.was_committed_on(standing[transition.before.order_id])
        for transition in transitions
    ]
    return bool(made) and all(made)


def create(order: Order, header: EventHeader) -> Order:
    """``order`` as a new, open order with `order.created` in its outbox."""
    _must_be(header, EventType.ORDER_CREATED)
    return replace(order, status=Status.PENDING, outbox=header, opened_at=header.time_ms)


def reserve(order: Order, header: EventHeader) -> Transition:
    """All lines are taken from the stock: `inventory.reserved`."""
    return _transition(order, header, EventType.INVENTORY_RESERVED)


def refuse(order: Order, header: EventHeader, reason: str) -> Transition:
    """There is not enough stock: `inventory.failed`."""
    return _transition(order, header, EventType.INVENTORY_FAILED, failure_reason=reason)


def charge(order: Order, header: EventHeader, transaction_id: str, amount: Decimal) -> Transition:
    """The gateway took the money: `payment.processed`."""
    charged = {"transaction_id": transaction_id, "charged_amount": amount}
    return _transition(order, header, EventType.PAYMENT_PROCESSED, **charged)


def decline(order: Order, header: EventHeader, reason: str) -> Transition:
    """The gateway took no money: `payment.failed`."""
    return _transition(order, header, EventType.PAYMENT_FAILED, failure_reason=reason)


def release(order: Order, header: EventHeader) -> Transition:
    """The units of a declined order go back into the stock, once: `inventory.released`."""
    if order.released_at is not None:
        raise IllegalTransition(f"{order.order_id}: its stock is released already")
    fields = {"released_at": header.time_ms, "superseded": order.outbox if order.notified_at is None else None}
    transition = _transition(order, header, EventType.INVENTORY_RELEASED, **fields)
    return replace(transition, guard=("status", "released_at"))


def notify(order: Order, now_ms: int) -> Transition:
    """The customer was notified how the order ended. That completes a paid order."""
    if order.notified_at is not None or order.status not in (
        Status.PAYMENT_PROCESSED,
        Status.PAYMENT_FAILED,
        Status.INVENTORY_FAILED,
    ):
        raise IllegalTransition(f"{order.order_id}: no notification in {order.status}")
    status = Status.COMPLETED if order.status is Status.PAYMENT_PROCESSED else order.status
    notified = replace(order, status=status, notified_at=now_ms)
    return Transition(order, _closed_if_finished(notified), guard=("status", "notified_at"))


def close(order: Order) -> Transition:
    """Clear a published `inventory.released` from the outbox, and close the order if it is finished.

    No service reacts to that event, so no later transition overwrites it. When `notify` is committed at the same time,
    it can happen that neither of the two closes the order. Then the next `close` does (docs/adr/0006).
    """
    pending = order.outbox is not None and order.outbox.event_type is EventType.INVENTORY_RELEASED
    cleared = replace(order, outbox=None) if pending else order
    return Transition(order, _closed_if_finished(cleared), guard=("status", "outbox"))


def _transition(order: Order, header: EventHeader, event_type: EventType, **fields: Any) -> Transition:
    _must_be(header, event_type)
    transition = TRANSITIONS[event_type]
    if order.status is not transition.leaves:
        raise IllegalTransition(f"{order.order_id}: {event_type} does not follow {order.status}")
    after = replace(order, status=transition.enters, updated_at=header.time_ms, outbox=header, **fields)
    return Transition(order, after, guard=("status",))


def _must_be(header: EventHeader, event_type: EventType) -> None:
    if header.event_type is not event_type:
        raise IllegalTransition(f"a header of {header.event_type} on a transition of {event_type}")


def _closed_if_finished(order: Order) -> Order:
    """``order``, or, if it is finished, ``order`` without ``opened_at``, so that it leaves the index of open orders.

    The outbox of a finished order is cleared, too: its event was consumed.
    """
    return replace(order, opened_at=None, outbox=None, superseded=None) if order.is_finished else order
