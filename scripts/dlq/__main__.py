"""Look into the dead-letter queues, and empty them: `python -m scripts.dlq --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from rich.console import Console

from scripts.console import OK, Progress, run_command
from scripts.dlq.purge import purge
from scripts.dlq.redrive import CANARY_SECONDS, Redrive, Wish
from scripts.dlq.showing import list_table, show_letters
from scripts.operator_log import OperatorLog
from shopflow.aws.calls import PATIENT
from shopflow.aws.dead_letters import SqsDeadLetters
from shopflow.aws.wiring import Aws, connect
from shopflow.clock import SystemClock
from shopflow.config import adopt_environment, configured_catalog, load_config, read_environment
from shopflow.dead_letters import judge, judge_all, taken

MOST_LETTERS = 1000
MOST_PER_SECOND = 500
ABOUT = """\
Look into the dead-letter queues, and empty them. SQS keeps no reason with a dead letter, so the reason is found out
anew: by the contract, or by a dry run of the service's own handler on the order as it stands now.

  python -m scripts.dlq list                       what is where, and why (also: make dlq)
  python -m scripts.dlq peek payment               each message, why it is there, and what to do
  python -m scripts.dlq redrive payment            what a redrive would send: a dry run
  python -m scripts.dlq redrive payment --yes      send it: one first, the others if that one was processed
  python -m scripts.dlq purge payment --message ID delete one for good; asks first

Looking takes nothing away: the messages are hidden for a moment, and given back. redrive, peek and purge are logged
with who did them, in .local/operator.log and on stderr. Exit code 0: done (list: also when there are dead letters);
1: not done, or stopped by the canary; 2: misused.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.dlq", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|peek|redrive|purge")
    services = [service.name for service in configured_catalog(read_environment()).consumers]
    _add(commands, "list", "depth, oldest message and reasons, by service")
    for name, about in (
        ("peek", "show messages, and why each is there"),
        ("redrive", "send messages back to their queue (a dry run without --yes)"),
        ("purge", "delete messages for good"),
    ):
        command = _add(commands, name, about)
        command.add_argument("service", choices=services, help="whose dead-letter queue")
        chosen = command.add_argument("--message", action="append", default=[], metavar="ID", dest="message_ids")
        chosen.help = "only the message with this id, which peek shows; may be repeated"
    commands.choices["peek"].add_argument("--whole", action="store_true", help="do not cut long messages short")
    _add_redrive_options(commands.choices["redrive"])
    commands.choices["purge"].add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args(arguments)


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, about: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=about, description=about)
    command.add_argument(
        "--limit", type=_number(MOST_LETTERS), default=100, metavar="N", help="look at no more than N (100)"
    )
    return command


def _add_redrive_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--yes", action="store_true", help="do it; without, only what would be done is shown")
    command.add_argument(
        "--rate", type=_number(MOST_PER_SECOND), default=10, metavar="N", help="messages a second (10)"
    )
    command.add_argument(
        "--all",
        action="store_true",
        help="those too that would fail again, and as many as there are (by SQS, if it can)",
    )
    command.add_argument(
        "--patience",
        type=_number(3600),
        default=CANARY_SECONDS,
        metavar="SECONDS",
        help=f"for the first ({CANARY_SECONDS})",
    )


def _number(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from 1 to {most}")
        return value

    return number


def show_list(aws: Aws, limit: int, console: Console, progress: Progress) -> int:
    consumers = configured_catalog(read_environment()).consumers
    queues = {service.name: aws.dead_letters(service.name) for service in consumers}
    depths = {name: dlq.depth() for name, dlq in queues.items()}
    with progress.step("Looking at the dead letters"), ExitStack() as looks:
        letters = {name: looks.enter_context(taken(dlq, min(limit, depths[name]))) for name, dlq in queues.items()}
        judged = judge_all(letters)
    console.print(list_table({name: (depths[name], judged[name]) for name in queues}, SystemClock().now_ms()))
    if any(depths.values()):
        console.print(
            "Next: python -m scripts.dlq peek SERVICE, then redrive SERVICE or purge SERVICE (--help says more)"
        )
    else:
        console.print("No dead letters.")
    return OK


def show_peek(options: argparse.Namespace, dlq: SqsDeadLetters, console: Console, progress: Progress) -> int:
    with progress.step(f"Looking into {dlq.name}"), taken(dlq, options.limit) as letters:
        wanted = [one for one in letters if not options.message_ids or one.message.message_id in options.message_ids]
        judged = judge(options.service, wanted)
    show_letters(judged, SystemClock().now_ms(), console, whole=options.whole)
    if not judged:
        console.print(f"{dlq.name}: nothing to show.")
    return OK


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
    aws = connect(load_config(env), PATIENT)
    console = Console(highlight=False)
    progress = Progress(console)
    if options.command == "list":
        return show_list(aws, options.limit, console, progress)
    dlq, log, ids = aws.dead_letters(options.service), OperatorLog.of(env), frozenset(options.message_ids)
    if options.command == "peek":
        log.record("peek", queue=dlq.name)
        return show_peek(options, dlq, console, progress)
    if options.command == "redrive":
        wish = Wish(options.service, options.limit, options.rate, ids, options.all, options.yes, options.patience)
        return Redrive(wish, dlq, log, progress).run()
    ask = (lambda _: True) if options.yes else agreed
    return purge(options.service, options.limit, ids, dlq, log, progress, ask)


if __name__ == "__main__":
    sys.exit(run_command(main))
