"""Show one order: `python -m scripts.check_order ORD-A1B2C3D4`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise

from rich.markup import escape
from rich.table import Table

from scripts.console import OK, CommandError, new_console, parser_of, plain_table, run_command
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.config import load_config
from shopflow.domain.event import is_transition
from shopflow.domain.order import LEGAL_TRAILS, Order
from shopflow.domain.times import to_text
from shopflow.environment import adopt_environment
from shopflow.log import printable
from shopflow.ports import AuditEntry

ABOUT = """\
Show one order: its record, its audit trail, and where its time went.

  make check-order ID=ORD-A1B2C3D4

Reads the tables, not the API, so it works while the Order Service is down.
"""


def record_table(order: Order) -> Table:
    table = plain_table(order.order_id, show_header=False)
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
        "customer notified": order.notified_at and to_text(order.notified_at),
        "stock released": order.released_at and to_text(order.released_at),
        "in the outbox": order.outbox and f"{order.outbox.event_type} {order.outbox.event_id}",
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, escape(printable(str(value))))
    return table


def trail_table(trail: Sequence[AuditEntry]) -> Table:
    """``took``: since the event before; ``stored``: until the entry was in the audit log."""
    table = plain_table("Audit trail", "event", "event id", "recorded at", "took", "stored", numeric=("took", "stored"))
    for before, entry in pairwise([*trail[:1], *trail]):
        event = entry.event
        took, delay = event.time_ms - before.event.time_ms, entry.stored_at - event.time_ms
        table.add_row(str(event.event_type), event.event_id, to_text(event.time_ms)[11:], f"{took} ms", f"{delay} ms")
    return table


def main() -> int:
    parser = parser_of("scripts.check_order", ABOUT)
    parser.add_argument("order_id", metavar="ID", help="the order's id, such as ORD-A1B2C3D4")
    order_id = parser.parse_args().order_id
    aws = connect(load_config(adopt_environment()), PATIENT)
    order = aws.orders.read([order_id]).get(order_id)
    trail = aws.audit.trail(order_id)
    if order is None:
        without_record = f"{order_id} has {len(trail)} event(s), but no record that can be read: make replay ID=…"
        unknown = f"There is no order {order_id}. The answer to POST /orders names the id of a new one."
        raise CommandError(without_record if trail else unknown)
    console = new_console()
    console.print(record_table(order))
    console.print(trail_table(trail))
    steps_made = tuple(entry.event.event_type for entry in trail if is_transition(entry.event))
    if order.status.terminal and steps_made != LEGAL_TRAILS[order.status]:
        console.print("The trail is not complete yet: the Audit Service is behind, or stopped.")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
