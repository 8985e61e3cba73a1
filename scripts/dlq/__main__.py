"""Look into the dead-letter queues, and empty them: `python -m scripts.dlq --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from scripts.console import OK, Progress, run_command
from scripts.dlq.choosing import Choice, Which, look_through
from scripts.dlq.purge import Purge
from scripts.dlq.redrive import CANARY_SECONDS, Redrive, Wish
from scripts.dlq.showing import list_table, reasons, show_letters, unseen
from scripts.operator_log import OperatorLog
from shopflow.aws.calls import PATIENT
from shopflow.aws.queues import SqsDeadLetters
from shopflow.aws.wiring import connect
from shopflow.catalog import Catalog
from shopflow.clock import SystemClock
from shopflow.config import adopt_environment, configured_catalog, load_config, read_environment
from shopflow.contracts import Contracts
from shopflow.messaging.outbox import Outbox
from workers.dead_letters import Judge, Judged, Survey, best_first, judging
from workers.dry_run import DryRun

MAX_SHOWN = 100
MAX_LETTERS = 1_000_000
MAX_PER_SECOND = 500
ABOUT = """\
Look into the dead-letter queues, and empty them. SQS keeps no reason with a dead letter, so the reason is found out
anew: by the contract, or by a dry run of the service's own handler on the order as it stands now.

  python -m scripts.dlq list                        what is where, and why (also: make dlq)
  python -m scripts.dlq peek payment                each message, why it is there, and what to do
  python -m scripts.dlq redrive payment             what a redrive would send: all that would succeed, and only that
  python -m scripts.dlq redrive payment --yes       send it: one first, the others if that one was processed
  python -m scripts.dlq purge payment --would-fail  delete for good what would fail again; asks first
  python -m scripts.dlq purge payment --would-fail --dry-run    only show what that would delete

Every command goes through the whole queue: what would succeed is found behind any number of messages that would not.
Looking takes nothing away: the messages are hidden meanwhile, and given back, also after Ctrl-C. redrive, peek and
purge are logged with who did them, in .local/operator.log and on stderr. Exit code 0: done (list: also when there are
dead letters); 1: not done, or stopped by the canary; 2: misused.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.dlq", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|peek|redrive|purge")
    services = [service.name for service in configured_catalog(read_environment()).consumers]
    about = "depth, oldest message and reasons, by service"
    commands.add_parser("list", help=about, description=about)
    peek = _add(commands, services, "peek", "show messages, and why each is there; what would succeed first")
    peek.add_argument("--whole", action="store_true", help="do not cut long messages short")
    peek.add_argument("--limit", type=_number(MAX_SHOWN * 10), default=MAX_SHOWN, metavar="N", help="show N (100)")
    _add_which(peek, Which.ALL, Which.WOULD_SUCCEED, Which.WOULD_FAIL)
    redrive = _add(commands, services, "redrive", "send messages back to their queue (a dry run without --yes)")
    _add_which(redrive, Which.WOULD_SUCCEED, Which.WOULD_SUCCEED, Which.ALL)
    _add_doing(redrive, "send", "do it; without, only what would be done is shown")
    redrive.add_argument("--rate", type=_number(MAX_PER_SECOND), default=10, metavar="N", help="messages a second (10)")
    patience = f"how long to wait for the first ({CANARY_SECONDS})"
    redrive.add_argument("--patience", type=_number(3600), default=CANARY_SECONDS, metavar="SECONDS", help=patience)
    purge = _add(commands, services, "purge", "delete messages for good: all of them, if nothing says which")
    _add_which(purge, Which.ALL, Which.WOULD_FAIL)
    _add_doing(purge, "delete", "do not ask")
    return parser.parse_args(arguments)


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], services: Sequence[str], name: str, about: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=about, description=about)
    command.add_argument("service", choices=services, help="whose dead-letter queue")
    command.add_argument(
        "--message",
        action="append",
        default=[],
        metavar="ID",
        dest="message_ids",
        help="only the message with this id, which peek shows; may be repeated",
    )
    return command


def _add_which(command: argparse.ArgumentParser, default: Which, *others: Which) -> None:
    options = {
        Which.WOULD_SUCCEED: ("--would-succeed", "only what would succeed, or has had its effect already"),
        Which.WOULD_FAIL: ("--would-fail", "only what breaks its contract, or fails"),
        Which.ALL: ("--all", "also what would fail again, or cannot be told (by SQS itself, if it can)"),
    }
    group = command.add_mutually_exclusive_group()
    group.set_defaults(which=default)
    for which in others:
        option, text = options[which]
        shown = f"{text} (this, if nothing is said)" if which is default else text
        group.add_argument(option, action="store_const", dest="which", const=which, help=shown)


def _add_doing(command: argparse.ArgumentParser, verb: str, yes: str) -> None:
    command.add_argument("--limit", type=_number(MAX_LETTERS), metavar="N", help=f"{verb} no more than N")
    doing = command.add_mutually_exclusive_group()
    doing.add_argument("--yes", action="store_true", help=yes)
    doing.add_argument("--dry-run", action="store_true", help="only show what would be done")


def _number(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from 1 to {most}")
        return value

    return number


def show_list(catalog: Catalog, queue: Callable[[str], SqsDeadLetters], judge: Judge, console: Console) -> int:
    found: dict[str, tuple[Survey, int]] = {}
    with Progress(console).step("Looking through the dead letters") as show:
        for service in catalog.consumers:
            found[service.name] = look_through(service.name, queue(service.name), judge, show)
    console.print(list_table(found, SystemClock().now_ms()))
    if any(depth for _, depth in found.values()):
        console.print(
            "Next: python -m scripts.dlq peek SERVICE, then redrive SERVICE or purge SERVICE (--help says more)"
        )
    else:
        console.print("No dead letters.")
    return OK


def show_peek(options: argparse.Namespace, dlq: SqsDeadLetters, judge: Judge, console: Console) -> int:
    choice = _choice(options)
    shown: list[Judged] = []
    chosen = Survey()

    def see(judged: Sequence[Judged]) -> None:
        nonlocal shown
        wanted = [one for one in judged if choice.takes(one, 0)]
        chosen.add(wanted)
        shown = best_first([*shown, *wanted], options.limit)

    with Progress(console).step(f"Looking through {dlq.name}") as show:
        survey, depth = look_through(options.service, dlq, judge, show, see)
    show_letters(shown, SystemClock().now_ms(), console, whole=options.whole)
    if not shown:
        console.print(f"{dlq.name}: nothing to show.")
    else:
        console.rule(f"{len(shown):,} shown of {survey.looked_at:,}", align="left", characters="─")
        for line in (*reasons(chosen), *unseen(survey.looked_at, depth)):
            console.print(line, markup=False)
    return OK


def _choice(options: argparse.Namespace) -> Choice:
    return Choice(options.which, frozenset(options.message_ids), options.limit)


def agreed(queue: str) -> bool:
    """Whether the operator types the queue's name. Nobody there to type does not agree."""
    try:
        return input(f"Type the queue's name, {queue}, to delete them: ").strip() == queue
    except EOFError:
        print()
        return False


def main() -> int:
    options = parse(sys.argv[1:])
    env = adopt_environment()
    aws, catalog = connect(load_config(env), PATIENT), configured_catalog(env)
    judge = judging(DryRun(Outbox(catalog, Contracts(catalog)), aws.orders, aws.products, aws.audit, SystemClock()))
    console = Console(highlight=False)
    progress = Progress(console)
    if options.command == "list":
        return show_list(catalog, aws.dead_letters, judge, console)
    service, dlq, log = options.service, aws.dead_letters(options.service), OperatorLog.of(env)
    if options.command == "peek":
        log.record("peek", queue=dlq.name)
        return show_peek(options, dlq, judge, console)
    if options.command == "redrive":
        wish = Wish(service, dlq.name, _choice(options), options.rate, options.yes, options.patience)
        return Redrive(wish, dlq, judge, log, progress).run()
    ask = (lambda _: True) if options.yes else agreed
    purge = Purge(service, dlq.name, _choice(options), options.dry_run, dlq, judge, log, progress, ask)
    return purge.run()


if __name__ == "__main__":
    sys.exit(run_command(main))
