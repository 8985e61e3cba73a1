"""Rebuild orders from their events: `python -m scripts.replay --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.check_order import record_table, trail_table
from scripts.console import FAILED, OK, CommandError, Progress, run_command
from scripts.operator_log import OperatorLog
from scripts.replay.comparing import breaches, rebuilt, side_by_side
from scripts.replay.everything import rebuild_all
from scripts.replay.sending import History, send_history
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import Aws, connect
from shopflow.config import adopt_environment, configured_catalog, load_config, read_environment
from shopflow.contracts import Contracts
from shopflow.domain.times import to_text

MAX_PER_SECOND = 500
ABOUT = """\
Rebuild orders from their events, the audit log. Nothing else is needed for it.

  python -m scripts.replay ORD-A1B2C3D4                  rebuilt, beside its record (also: make replay ID=ORD-…)
  python -m scripts.replay ORD-A1B2C3D4 --at 2026-01-31T12:00:00
                                                         as it stood then (UTC, unless an offset is given)
  python -m scripts.replay --all                         every order, into a shadow table, compared with its record
  python -m scripts.replay ORD-A1B2C3D4 --to audit       send its history to one service's queue: a dry run
  python -m scripts.replay --all --to audit --yes        every order's, so that a new service can catch up

What only the Notification Service writes is in no event: a COMPLETED order rebuilds as PAYMENT_PROCESSED, and that
counts as the same. Exit code 0: the same, or done; 1: a difference, or no such order; 2: misused.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.replay", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("order_id", nargs="?", metavar="ID", help="the order's id, such as ORD-A1B2C3D4")
    parser.add_argument("--all", action="store_true", help="every order instead of one")
    parser.add_argument("--at", type=_moment, metavar="TIME", help="show the order as it stood at that time")
    parser.add_argument("--keep", action="store_true", help="with --all: keep the shadow table")
    services = [service.name for service in configured_catalog(read_environment()).consumers]
    parser.add_argument("--to", choices=services, help="send the history to this service's queue")
    parser.add_argument("--rate", type=_rate, default=10, metavar="N", help="with --to: messages a second (10)")
    parser.add_argument("--yes", action="store_true", help="with --to: do it; without, only count")
    options = parser.parse_args(arguments)
    if options.all == (options.order_id is not None):
        parser.error("name one order, or --all")
    if options.at is not None and (options.all or options.to):
        parser.error("--at shows one order: it goes with neither --all nor --to")
    if options.keep and (options.to or not options.all):
        parser.error("--keep goes with --all, without --to")
    if options.yes and not options.to:
        parser.error("--yes goes with --to")
    return options


def _moment(text: str) -> int:
    """ISO 8601 → milliseconds. Without an offset it is UTC."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _rate(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MAX_PER_SECOND:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {MAX_PER_SECOND}")
    return value


def show_then(aws: Aws, order_id: str, at_ms: int, console: Console) -> int:
    """The order as it stood at ``at_ms``, out of the events until then."""
    trail = aws.audit.trail(order_id)
    if not trail:
        raise _unknown(order_id)
    until = [entry for entry in trail if entry.event.time_ms <= at_ms]
    if not until:
        first = to_text(trail[0].event.time_ms)
        raise CommandError(f"{order_id} did not exist at {to_text(at_ms)}: its first event is of {first}.")
    order = rebuilt([entry.event for entry in until])
    console.print(trail_table(until))
    if order is None:
        raise CommandError(f"{order_id}: these events are no legal history, so they add up to no order.")
    console.print(record_table(order))
    console.print(f"{order_id} at {to_text(at_ms)}, after {len(until)} of its {len(trail)} events.")
    return OK


def show_beside_record(aws: Aws, order_id: str, console: Console) -> int:
    """The order as its events have it, beside its record."""
    order = aws.orders.read([order_id]).get(order_id)
    trail = aws.audit.trail(order_id)
    if order is None and not trail:
        raise _unknown(order_id)
    events = [entry.event for entry in trail]
    console.print(trail_table(trail))
    table = Table(title=order_id, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("", "attribute", "from its events", "its record"):
        table.add_column(name, overflow="fold")
    for row in side_by_side(rebuilt(events), order):
        mark, style = ("✘", "red") if row.differs else ("✔", "")
        table.add_row(mark, row.name, escape(row.replayed or "—"), escape(row.recorded or "—"), style=style)
    console.print(table)
    found = breaches(order_id, order, events)
    for breach in found:
        late = " Its events may still be on their way, or in the audit queue's dead letters." if breach.may_pass else ""
        console.print(f"{order_id} {breach.text}.{late}", style="red", markup=False)
    if not found:
        console.print(f"The record is what its {len(events)} events add up to.")
    return FAILED if found else OK


def _unknown(order_id: str) -> CommandError:
    return CommandError(f"There is no event of {order_id}. The answer to POST /orders names the id of a new order.")


def main() -> int:
    options = parse(sys.argv[1:])
    env = adopt_environment()
    aws = connect(load_config(env), PATIENT)
    console = Console(highlight=False)
    progress, log = Progress(console), OperatorLog.of(env)
    if options.to:
        catalog = configured_catalog(env)
        service = catalog.services[options.to]
        history = History(aws, service, Contracts(catalog))
        order_ids = aws.audit.order_ids() if options.all else [options.order_id]
        return send_history(history, order_ids, service, options.rate, aws, log, progress, confirmed=options.yes)
    if options.all:
        return rebuild_all(aws, log, progress, console, keep=options.keep)
    if options.at is not None:
        return show_then(aws, options.order_id, options.at, console)
    return show_beside_record(aws, options.order_id, console)


if __name__ == "__main__":
    sys.exit(run_command(main))
