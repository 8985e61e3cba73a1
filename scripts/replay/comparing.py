"""An order as its events have it, beside the order as its record has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from shopflow.aws.items import ATTRIBUTES
from shopflow.domain.event import Event, replay
from shopflow.domain.order import IllegalTransition, Order
from shopflow.domain.times import to_text
from shopflow.invariants import Breach, Evidence, as_replayed, check_order

_TRAIL = 4
"""The invariant of the audit trail: legal, causal, and replaying to the record."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute, as the events have it and as the record has it. None: it is not there."""

    name: str
    replayed: str | None
    recorded: str | None

    @property
    def differs(self) -> bool:
        return self.replayed != self.recorded


def rebuilt(trail: Sequence[Event]) -> Order | None:
    """The order that the events add up to; None when there are none, or when they are no legal history."""
    try:
        return replay(trail)
    except (IllegalTransition, LookupError, ValueError, TypeError, ArithmeticError, AttributeError):
        return None


def side_by_side(replayed: Order | None, recorded: Order | None) -> list[Row]:
    """Every attribute that either has, less what is in none of an order's events (`as_replayed`)."""
    record = as_replayed(recorded) if recorded else None
    rows = [Row(ATTRIBUTES[one.name], _value(replayed, one.name), _value(record, one.name)) for one in fields(Order)]
    return [row for row in rows if row.replayed is not None or row.recorded is not None]


def same(replayed: Order, recorded: Order) -> bool:
    return replayed == as_replayed(recorded)


def breaches(order_id: str, recorded: Order | None, trail: Sequence[Event]) -> list[Breach]:
    """How record and trail contradict each other; nothing when the one is what the other adds up to."""
    if recorded is None:
        return [Breach(_TRAIL, order_id, f"has {len(trail)} event(s), but no record")] if trail else []
    return [breach for breach in check_order(Evidence(recorded, trail, ())) if breach.invariant == _TRAIL]


def _value(order: Order | None, name: str) -> str | None:
    value: Any = getattr(order, name) if order else None
    if value is None:
        return None
    if name == "lines":
        return "\n".join(
            f"{line.quantity} x {line.product_name} ({line.product_id}) @ ${line.unit_price}" for line in value
        )
    return to_text(value) if name.endswith("_at") else str(value)
