"""Show one order: `python -m scripts.check_order ORD-A1B2C3D4`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.console import OK, CommandError, run_command
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.config import adopt_environment, load_config
from shopflow.domain.event import is_transition
from shopflow.domain.order import LEGAL_TRAILS, Order
from shopflow.domain.times import to_text
from shopflow.ports import AuditEntry

ABOUT = """\
Show one order: its record, its audit trail, and where its time went.

  make check-order ID=ORD-A1B2C3D4

Reads the tables themselves, so it works while the Order Service is down.
"""
BAR_WIDTH = 36


@dataclass(frozen=True, slots=True)
class Step:
    """One stretch of an order's life, in milliseconds from its creation."""

    name: str
    start: int
    end: int


def steps(order: Order, trail: Sequence[AuditEntry]) -> list[Step]:
    """The time from each event to the next, and from the last but one to the customer being told."""
    moments = [(str(entry.event.event_type), entry.event.time_ms) for entry in trail]
    if order.notified_at is not None:
        moments.append(("customer told", order.notified_at))
    moments.sort(key=lambda moment: moment[1])
    origin = order.created_at
    starts = [origin, *(time for _, time in moments)]
    return [
        Step(name, start - origin, max(start, end) - origin)
        for (name, end), start in zip(moments, starts, strict=False)
    ]


def bar(step: Step, total: int, width: int = BAR_WIDTH) -> str:
    """The step as a bar at its place on a line of ``width`` characters that stands for ``total`` milliseconds."""
    left = step.start * width // max(total, 1)
    length = max(1, (step.end - step.start) * width // max(total, 1)) if step.end > step.start else 0
    return " " * min(left, width - length) + "█" * length


def record_table(order: Order) -> Table:
    table = Table(title=order.order_id, show_header=False, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    amounts = [
        f"{line.quantity} x {line.product_name} @ ${line.unit_price} = ${line.line_total}" for line in order.lines
    ]
    rows = {
        "status": str(order.status) + ("" if order.opened_at is None else " (saga unfinished)"),
        "customer": order.customer_id,
        "items": "\n".join(amounts),
        "total": f"${order.total_amount}",
        "payment method": order.payment_method,
        "reason": order.failure_reason,
        "charged": order.transaction_id and f"${order.charged_amount} ({order.transaction_id})",
        "created": to_text(order.created_at),
        "customer told": order.notified_at and to_text(order.notified_at),
        "stock released": order.released_at and to_text(order.released_at),
        "in the outbox": order.outbox and f"{order.outbox.event_type} {order.outbox.event_id}",
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, escape(str(value)))
    return table


def trail_table(trail: Sequence[AuditEntry]) -> Table:
    table = Table(title="Audit trail", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("event", "event id", "recorded at", "stored after"):
        table.add_column(name, no_wrap=True)
    for entry in trail:
        event = entry.event
        delay = f"{entry.stored_at - event.time_ms} ms"
        table.add_row(str(event.event_type), event.event_id, to_text(event.time_ms)[11:], delay)
    return table


def waterfall_table(order: Order, trail: Sequence[AuditEntry]) -> Table:
    table = Table(title="Where the time went", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("until", "took", "at", ""):
        table.add_column(name, no_wrap=True, justify="right" if name in ("took", "at") else "left")
    walk = steps(order, trail)
    total = max((step.end for step in walk), default=0)
    for step in walk:
        table.add_row(step.name, f"{step.end - step.start} ms", f"+{step.end} ms", bar(step, total))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.check_order", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("order_id", metavar="ID", help="the order's id, such as ORD-A1B2C3D4")
    order_id = parser.parse_args().order_id
    aws = connect(load_config(adopt_environment()), PATIENT)
    order = aws.orders.read([order_id]).get(order_id)
    trail = aws.audit.trail(order_id)
    if order is None and trail:
        raise CommandError(f"{order_id} has {len(trail)} event(s), but no record that can be read: make replay ID=…")
    if order is None:
        raise CommandError(f"There is no order {order_id}. The answer to POST /orders names the id of a new one.")
    console = Console(highlight=False)
    for table in (record_table(order), trail_table(trail), waterfall_table(order, trail)):
        console.print(table)
    steps_made = tuple(entry.event.event_type for entry in trail if is_transition(entry.event))
    if order.status.terminal and steps_made != LEGAL_TRAILS[order.status]:
        console.print("The trail is not complete yet: the Audit Service is behind, or stopped.")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
