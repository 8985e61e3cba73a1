"""Check every invariant on the live stack: `python -m scripts.verify --help`."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.console import FAILED, OK, CommandError, Progress, run_command
from scripts.verify.looking import Findings, Live, Look
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import inspect
from shopflow.aws.wiring import Aws, connect
from shopflow.clock import SystemClock
from shopflow.config import Config, adopt_environment, load_config
from shopflow.dead_letters import judge, taken
from shopflow.errors import Unavailable
from shopflow.invariants.report import INVARIANTS, Breach, Report
from shopflow.messaging.dry_run import Kind
from shopflow.transactions import transaction_id

MOST_LETTERS = 1000
NOT_SEEN = {7: "by tests"}
"""A second publication leaves no trace in the tables: only tests can count it."""
ABOUT = """\
Check that nothing was lost and nothing done twice: every order, product and dead letter of the running stack.

  make verify                        also: python -m scripts.verify

What breaks an invariant is looked at again after a moment. It is called in flight if it may still mend itself: messages
wait in the queues, or the order has moved since, or the relay has not looked at it yet. It is a breach if not, so the
result is exact when the system is quiet. An order that stays open because its message is a dead letter is a breach:
'make dlq' says why it is there.

Charges are recomputed from the orders' idempotency keys with PAYMENT_SEED, so that must be what the orders were
charged with. Reads every order and its trail; writes nothing. Exit code 0: everything holds; 1: it does not.
"""


def verify(config: Config, aws: Aws, progress: Progress) -> Findings:
    """All invariants that a live stack shows. Raises `Unavailable`."""
    live = Live(
        orders=aws.orders,
        products=aws.products,
        audit=aws.audit,
        transaction_id=partial(transaction_id, config.gateway.seed),
        waiting=partial(messages_waiting, config),
        clock=SystemClock(),
    )
    with progress.step("Checking orders, trails and stock") as show:
        findings = Look(live).findings(show)
    with progress.step("Looking into the dead-letter queues"):
        for service in config.resources.dlq_urls:
            _check_dead_letters(service, aws, findings)
    return findings


def messages_waiting(config: Config) -> int:
    """About how many messages are in all queues, in flight included; dead letters are not."""
    return sum(depth.waiting + depth.in_flight for depth in inspect(config).queues.values() if depth)


def _check_dead_letters(service: str, aws: Aws, findings: Findings) -> None:
    """Poison belongs there. Anything else is work that somebody must redrive."""
    with taken(aws.dead_letters(service), MOST_LETTERS) as letters:
        for one in judge(service, letters):
            findings.breaches.saw([5])
            if one.verdict.kind is not Kind.BREACH:
                text = f"holds {one.message_id}, which {one.reason}: see 'make dlq'"
                findings.breaches.add([Breach(5, f"{service} dead-letter queue", text)])


def table(findings: Findings) -> Table:
    shown = Table("", "Invariant", "Checked", "Breaches", "In flight")
    for number, title in INVARIANTS.items():
        checked = NOT_SEEN.get(number, f"{findings.breaches.checked[number]:,}")
        breaches, in_flight = findings.breaches.breached[number], findings.in_flight.breached[number]
        counts = ("", "") if number in NOT_SEEN else (f"[red]{breaches:,}" if breaches else "0", f"{in_flight:,}")
        shown.add_row(str(number), title, checked, *counts)
    return shown


def show_offenders(report: Report, title: str, console: Console, colour: str) -> None:
    for number, offenders in sorted(report.offenders.items()):
        more = report.breached[number] - len(offenders)
        console.print(f"{title} {number}, {INVARIANTS[number]}:", style=colour)
        for breach in offenders:
            console.print(f"  {escape(breach.subject)}  {escape(breach.text)}")
        if more:
            console.print(f"  … and {more:,} more")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.verify", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    config, console = load_config(adopt_environment()), Console(highlight=False, soft_wrap=True)
    try:
        findings = verify(config, connect(config, PATIENT), Progress())
    except Unavailable as error:
        raise CommandError(f"The stack does not answer; 'make infra-up' starts it. ({error})") from None
    console.print(table(findings))
    show_offenders(findings.in_flight, "In flight", console, "yellow")
    show_offenders(findings.breaches, "Breach of", console, "red")
    console.print("Every invariant holds." if findings.breaches.holds else "[red]Not every invariant holds.")
    return OK if findings.breaches.holds else FAILED


if __name__ == "__main__":
    sys.exit(run_command(main))
