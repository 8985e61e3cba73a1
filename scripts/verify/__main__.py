"""Check every invariant on the live stack: `python -m scripts.verify --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.console import FAILED, OK, CommandError, Progress, run_command
from scripts.dlq.choosing import look_through
from scripts.verify.looking import Findings, Live, Look
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import inspect
from shopflow.aws.wiring import Aws, connect
from shopflow.catalog import Catalog
from shopflow.clock import SystemClock
from shopflow.config import Config, adopt_environment, configured_catalog, load_config
from shopflow.contracts import Contracts
from shopflow.errors import Unavailable
from shopflow.invariants import INVARIANTS, Breach, Report
from shopflow.messaging.outbox import Outbox
from shopflow.ports import DeadLetters
from workers.dead_letters import Judge, Judged, judging
from workers.dry_run import DryRun, Kind
from workers.gateway import transaction_id

DEAD_LETTERS = 5
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
charged with. Reads every order and its trail, and every dead letter, which is hidden from others meanwhile; writes
nothing. Exit code 0: everything holds; 1: it does not, or not all could be looked at.
"""


def verify(config: Config, catalog: Catalog, aws: Aws, progress: Progress) -> Findings:
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
    judge = judging(DryRun(Outbox(catalog, Contracts(catalog)), aws.orders, aws.products, aws.audit, SystemClock()))
    with progress.step("Looking through the dead-letter queues") as show:
        for service in config.resources.dlq_urls:
            check_dead_letters(service, aws.dead_letters(service), judge, findings, show)
    return findings


def messages_waiting(config: Config) -> int:
    """About how many messages are in all queues, in flight included; dead letters are not."""
    return sum(depth.waiting + depth.in_flight for depth in inspect(config).queues.values() if depth)


def check_dead_letters(
    service: str, dlq: DeadLetters, judge: Judge, findings: Findings, show: Callable[[str], None]
) -> None:
    """Poison belongs there. Anything else is work that somebody must redrive."""

    def see(judged: Sequence[Judged]) -> None:
        findings.breaches.saw([DEAD_LETTERS] * len(judged))
        for one in judged:
            if one.kind is not Kind.BREACH:
                text = f"holds {one.message_id}, which {one.reason}: see 'make dlq'"
                findings.breaches.add([Breach(DEAD_LETTERS, f"{service} dead-letter queue", text)])

    survey, depth = look_through(service, dlq, judge, show, see)
    findings.unseen_letters += depth - survey.looked_at


def table(findings: Findings) -> Table:
    shown = Table("", "Invariant", "Checked", "Breaches", "In flight")
    for number, title in INVARIANTS.items():
        checked = NOT_SEEN.get(number, f"{findings.breaches.checked[number]:,}")
        if number == DEAD_LETTERS and findings.unseen_letters:
            checked += f" of {findings.breaches.checked[number] + findings.unseen_letters:,}"
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


def verdict(findings: Findings) -> str:
    """In a sentence. What was not looked at is not said to hold."""
    if not findings.breaches.holds:
        return "[red]Not every invariant holds."
    if findings.unseen_letters:
        return (
            f"[red]Every invariant holds in what was looked at, but {findings.unseen_letters:,} dead letters were not: "
            "another look at them goes on, or there are too many. Run it again, or see 'make dlq'."
        )
    return "Every invariant holds."


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.verify", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    env, console = adopt_environment(), Console(highlight=False, soft_wrap=True)
    config = load_config(env)
    try:
        findings = verify(config, configured_catalog(env), connect(config, PATIENT), Progress())
    except Unavailable as error:
        raise CommandError(f"The stack does not answer; 'make infra-up' starts it. ({error})") from None
    console.print(table(findings))
    show_offenders(findings.in_flight, "In flight", console, "yellow")
    show_offenders(findings.breaches, "Breach of", console, "red")
    console.print(verdict(findings))
    return OK if findings.hold else FAILED


if __name__ == "__main__":
    sys.exit(run_command(main))
