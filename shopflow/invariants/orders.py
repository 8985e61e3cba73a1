"""Invariants 1, 3, 4 and 6: of one order, with what was seen of it outside the orders table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

from shopflow.domain.event import Event, is_transition, replay
from shopflow.domain.order import IllegalTransition, Order, Status
from shopflow.invariants.report import Breach
from shopflow.ports import Charge

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
