"""Rebuild orders from their events, or send the events to a service again: `python -m scripts.replay --help`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from scripts.check_order import record_table, trail_table
from scripts.console import (
    FAILED,
    OK,
    CommandError,
    Progress,
    new_console,
    number_up_to,
    parser_of,
    plain_table,
    run_command,
)
from scripts.operator_log import OperatorLog
from scripts.verify import CHUNK, OrderCheck, Troubles, chunks, order_check, show_offenders
from shopflow import jsontext
from shopflow.aws.calls import PATIENT
from shopflow.aws.items import ATTRIBUTES
from shopflow.aws.queues import SqsQueue, attributes_of
from shopflow.aws.wiring import Aws, connect
from shopflow.catalog import ServiceSpec
from shopflow.config import configured_catalog, load_config
from shopflow.contracts import Contracts
from shopflow.domain.order import Order
from shopflow.domain.text import unsendable
from shopflow.domain.times import to_text
from shopflow.environment import adopt_environment, read_environment
from shopflow.errors import ContractBreach
from shopflow.invariants import TRAIL, Breach, as_replayed, check_trail, rebuilt
from shopflow.ports import AuditLog

MAX_PER_SECOND = 500
ABOUT = """\
Rebuild orders from their events in the audit log, and from nothing else.

  python -m scripts.replay ORD-A1B2C3D4                  rebuilt, beside its record (also: make replay ID=ORD-…)
  python -m scripts.replay ORD-A1B2C3D4 --at 2026-01-31T12:00:00
                                                         as it was at that time (UTC, unless an offset is given)
  python -m scripts.replay --all                         every order, compared with its record
  python -m scripts.replay ORD-A1B2C3D4 --to audit       count the events that one service would get
  python -m scripts.replay --all --to audit --yes        send it the events of every order, so that it can catch up

No event records what only the Notification Service writes. So a COMPLETED order is rebuilt as PAYMENT_PROCESSED, and
that counts as equal. Exit code 0: equal, or done; 1: a difference, a failure, or no such order; 2: wrong arguments.
"""


def side_by_side(replayed: Order | None, recorded: Order | None) -> list[tuple[str, str | None, str | None]]:
    """Each attribute that either order has, as the events have it and as the record has it. None: it is absent.

    Without the attributes that no event records (`as_replayed`).
    """
    record = as_replayed(recorded) if recorded else None
    rows = [(ATTRIBUTES[one.name], _text(replayed, one.name), _text(record, one.name)) for one in fields(Order)]
    return [row for row in rows if row[1:] != (None, None)]


def _text(order: Order | None, name: str) -> str | None:
    value: Any = getattr(order, name) if order else None
    if value is None:
        return None
    if name == "lines":
        return "\n".join(f"{one.quantity} x {one.product_name} ({one.product_id}) @ ${one.unit_price}" for one in value)
    return to_text(value) if name.endswith("_at") else str(value)


def show_order(aws: Aws, order_id: str, console: Console) -> int:
    """Show the order as its events have it, beside its record. Returns 1 when they differ."""
    trail = aws.audit.trail(order_id)
    order = aws.orders.read([order_id]).get(order_id)
    if order is None and not trail:
        raise CommandError(f"There is no event of {order_id}. The answer to POST /orders names the id of a new order.")
    events = [entry.event for entry in trail]
    console.print(trail_table(trail))
    table = plain_table(order_id, "", "attribute", "from its events", "its record")
    for name, replayed, recorded in side_by_side(rebuilt(events), order):
        mark, style = ("✔", "") if replayed == recorded else ("✘", "red")
        table.add_row(mark, name, escape(replayed or "—"), escape(recorded or "—"), style=style)
    console.print(table)
    if order is None:
        found = [Breach(TRAIL, order_id, f"has {len(events)} event(s), but no record")]
    else:
        found = list(check_trail(order, events))
    for breach in found:
        late = " Its events may still be in the audit queue or its dead-letter queue." if breach.may_pass else ""
        console.print(f"{order_id} {breach.text}.{late}", style="red", markup=False)
    if not found:
        console.print(f"The record is what its {len(events)} events add up to.")
    return FAILED if found else OK


def show_order_at(aws: Aws, order_id: str, at_ms: int, console: Console) -> int:
    """Show the order as it was at ``at_ms``, from the events until then."""
    trail = aws.audit.trail(order_id)
    until = [entry for entry in trail if entry.event.time_ms <= at_ms]
    if not until:
        raise CommandError(f"{order_id} did not exist at {to_text(at_ms)}: it has no event until then.")
    console.print(trail_table(until))
    order = rebuilt([entry.event for entry in until])
    if order is None:
        raise CommandError(f"{order_id}: these events are not a legal trail, so they add up to no order.")
    console.print(record_table(order))
    console.print(f"{order_id} at {to_text(at_ms)}, after {len(until)} of its {len(trail)} events.")
    return OK


def compare_all(check: OrderCheck, order_ids: Iterable[str], progress: Progress, console: Console) -> int:
    """Compare every record with its events, and find events without a record among ``order_ids``.

    Returns 0 when all are equal, 1 when not or when an order could not be read. Memory does not grow with the orders.
    """
    with progress.step("Comparing every order with its events") as show:
        findings = check.check_orders(show)
    with progress.step("Looking for events without a record"):
        # A record is committed before its first event is published, so this needs no second look.
        for ids in chunks(order_ids, CHUNK):
            lost = sorted(set(ids) - check.orders.read(ids).keys())
            findings.breaches.add(Breach(TRAIL, order_id, "has events, but no record") for order_id in lost)
    check.troubles.report(progress)
    show_offenders(findings, console, [TRAIL])
    differing = findings.breaches.breached[TRAIL] + findings.in_flight.breached[TRAIL]
    console.print(f"{findings.breaches.checked[TRAIL]:,} orders compared with their events: {differing:,} differ.")
    if differing:
        console.print("Next: python -m scripts.replay ORDER shows one of them side by side.")
    return FAILED if differing or check.troubles else OK


@dataclass(slots=True)
class Sending:
    """Sends the events of orders to the queue of one service, so that the service can catch up.

    The service gets the event types that it consumes, each with its text as it was published. ``sent``: events sent, or
    (not ``confirmed``) that would be sent; ``refused``: events that break today's contract and are left out.
    """

    audit: AuditLog
    queue: SqsQueue
    service: ServiceSpec
    contracts: Contracts
    per_second: int
    confirmed: bool
    sent: int = 0
    refused: int = 0

    def run(self, order_ids: Iterable[str], log: OperatorLog, progress: Progress) -> int:
        """Returns 0, or 1 when an order failed. An order stops at its first event that fails; the others go on."""
        name, troubles = self.service.name, Troubles()
        if self.confirmed:
            log.record("send history", service=name)
        try:
            with progress.step(f"{'Sending' if self.confirmed else 'Counting'} events for {name}") as show:
                for number, order_id in enumerate(order_ids, start=1):
                    with troubles.of(order_id):
                        self._send_order(order_id)
                    if number % CHUNK == 0:
                        show(f"{number:,} orders, {self.sent:,} events")
        finally:
            if self.confirmed:
                log.record("send history ended", service=name, sent=self.sent, refused=self.refused)
        if self.refused:
            progress.say(f"{self.refused} left out: they break today's contract, so the service would refuse them.")
        troubles.report(progress)
        would_be = f"{self.sent} would be sent to the {name} queue. Use --yes to send."
        progress.say(f"✔ {self.sent} sent to the {name} queue" if self.confirmed else would_be)
        return FAILED if troubles else OK

    def _send_order(self, order_id: str) -> None:
        """Raises `ContractBreach` for an event with text that SQS refuses."""
        for event in (entry.event for entry in self.audit.trail(order_id)):
            if event.event_type not in self.service.consumes:
                continue
            text = jsontext.dumps(event.to_json())
            try:
                self.contracts.decode(text)
            except ContractBreach:
                self.refused += 1
                continue
            if found := unsendable(text):
                raise ContractBreach(f"{event.event_type} {event.event_id} has {found}")
            if self.confirmed:
                self.queue.send(text, attributes_of(event.event_type))
                time.sleep(1 / self.per_second)
            self.sent += 1


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = parser_of("scripts.replay", ABOUT)
    parser.add_argument("order_id", nargs="?", metavar="ID", help="the order's id, such as ORD-A1B2C3D4")
    parser.add_argument("--all", action="store_true", help="every order instead of one")
    parser.add_argument("--at", type=_moment, metavar="TIME", help="show the order as it was at that time")
    services = [service.name for service in configured_catalog(read_environment()).consumers]
    parser.add_argument("--to", choices=services, help="send the events to this service's queue")
    rate = "with --to: messages a second (10)"
    parser.add_argument("--rate", type=number_up_to(MAX_PER_SECOND), default=10, metavar="N", help=rate)
    parser.add_argument("--yes", action="store_true", help="with --to: send the events; without it, only count them")
    options = parser.parse_args(arguments)
    if options.all == (options.order_id is not None):
        parser.error("name one order, or --all")
    if options.at is not None and (options.all or options.to):
        parser.error("--at shows one order: it goes with neither --all nor --to")
    if options.yes and not options.to:
        parser.error("--yes goes with --to")
    return options


def _moment(text: str) -> int:
    """ISO 8601 → milliseconds. Without an offset it is UTC."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def main() -> int:
    options = parse(sys.argv[1:])
    env = adopt_environment()
    config, catalog = load_config(env), configured_catalog(env)
    aws = connect(config, PATIENT)
    console = new_console()
    progress = Progress(console)
    if options.to:
        service, queue = catalog.services[options.to], aws.queue(options.to)
        sending = Sending(aws.audit, queue, service, Contracts(catalog), options.rate, options.yes)
        order_ids = aws.audit.order_ids() if options.all else [options.order_id]
        return sending.run(order_ids, OperatorLog.of(env), progress)
    if options.all:
        return compare_all(order_check(config, aws), aws.audit.order_ids(), progress, console)
    if options.at is not None:
        return show_order_at(aws, options.order_id, options.at, console)
    return show_order(aws, options.order_id, console)


if __name__ == "__main__":
    sys.exit(run_command(main))
