"""Look into the dead-letter queues, and empty them: `python -m scripts.dlq --help`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console
from rich.markup import escape

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
from shopflow import jsontext
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import Aws, connect
from shopflow.catalog import Catalog
from shopflow.clock import SystemClock
from shopflow.config import configured_catalog, load_config
from shopflow.contracts import Contracts
from shopflow.environment import adopt_environment, read_environment
from shopflow.log import printable
from shopflow.messaging.outbox import Outbox
from shopflow.ports import MAX_BATCH_ENTRIES, DeadLetters
from workers.dead_letters import Survey, Walk, best_first
from workers.dry_run import DryRun, Judge, Judged, Kind

CANARY_SECONDS = 120
"""Three receives of a message that fails on its own take up to 4 + 16 + 64 s (`REDELIVERY`)."""
POLL_SECONDS = 0.5
MAX_PER_SECOND = 500
MAX_PEEKED = 100
MAX_BODY_CHARS = 4000
ABOUT = """\
Look into the dead-letter queues, and empty them. SQS does not record why a message failed, so the reason is found out
again: by the contract, or by a dry run of the service's own handler on the order as it is now.

  python -m scripts.dlq list                        dead letters by service and reason (also: make dlq)
  python -m scripts.dlq peek payment                each message, why it is there, and what to do
  python -m scripts.dlq redrive payment             dry run: only messages that would succeed are sent
  python -m scripts.dlq redrive payment --yes       send one, then the others if the first was processed
  python -m scripts.dlq purge payment --would-fail  delete for good what would fail again; asks first
  python -m scripts.dlq purge payment --would-fail --dry-run    only show what would be deleted

Every command goes through the whole queue, so it finds a message that would succeed behind any number of others. The
messages are hidden meanwhile, and visible again afterwards, also after Ctrl-C. peek, redrive and purge are logged with
the operator's name in .local/operator.log and on stderr. Exit code 0: done (list: also when there are dead letters);
1: not done, or stopped because the first message failed again; 2: wrong arguments.
"""
WOULD_SUCCEED = frozenset(kind for kind in Kind if kind.would_succeed)
WOULD_FAIL = frozenset(kind for kind in Kind if kind.would_fail)
ALL = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Selection:
    """The dead letters of these kinds; if ``message_ids`` are given, only those of them."""

    kinds: Collection[Kind] = ALL
    message_ids: Collection[str] = ()

    def matches(self, one: Judged) -> bool:
        return one.kind in self.kinds and (not self.message_ids or one.message_id in self.message_ids)


class Plan:
    """What a command will act on (``chosen``), and what it leaves. ``reasons`` has the chosen ones by message id.

    ``canary``: the chosen letter that says most about the others.
    """

    def __init__(self) -> None:
        self.chosen, self.left = Survey(), Survey()
        self.reasons: dict[str, str] = {}
        self.canary: Judged | None = None

    def add(self, one: Judged, *, chosen: bool) -> None:
        (self.chosen if chosen else self.left).add([one])
        if chosen:
            self.reasons[one.message_id] = sys.intern(one.reason)
            self.canary = one if self.canary is None else best_first([self.canary, one], 1)[0]


@dataclass(frozen=True, slots=True)
class Target:
    """The dead-letter queue ``name`` of ``service``, with the commands that change it."""

    service: str
    name: str
    dlq: DeadLetters
    judge: Judge
    log: OperatorLog
    progress: Progress

    def redrive(self, selection: Selection, per_second: int, *, confirmed: bool) -> int:
        """Send what is selected. Returns 0; raises `CommandError` when the first message was not processed."""
        sent: list[str] = []
        with ExitStack() as ending:
            with self.walk(f"Looking through {self.name}") as walk:
                plan = self._plan(walk, selection, f"to send, {per_second} a second")
                if plan.canary is None:
                    return OK
                if not confirmed:
                    self.progress.say("Nothing was sent: this was a dry run. Use --yes to send.")
                    return OK
                self.log.record("redrive", queue=self.name, messages=sorted(plan.reasons))
                ending.callback(lambda: self.log.record("redrive ended", queue=self.name, sent=len(sent)))
                self._send_canary(plan.canary, walk, sent)
            others = plan.reasons.keys() - {plan.canary.message_id}
            if others:
                self._send_others(others, per_second, sent)
            self.progress.say(f"✔ {len(sent):,} sent back to the {self.service} queue")
        return OK

    def _send_canary(self, canary: Judged, walk: Walk, sent: list[str]) -> None:
        """Send one message and wait until it has its effect. ``walk`` hides all others, so what arrives is new.

        Raises `CommandError` when the message comes back, or when it is not processed in time.
        """
        self.progress.say(f"Sending {canary.message_id} first: {printable(canary.explanation)}")
        sent.append(self.dlq.redrive(canary.letter))
        walk.took([canary.letter])
        deadline = time.monotonic() + CANARY_SECONDS
        with Walk(self.dlq, SystemClock()) as arrivals:
            while True:
                arrived = [letter.message.message_id for letters in arrivals.batches() for letter in letters]
                (now,) = self.judge(self.service, [canary.letter])
                if sent[0] in arrived:
                    raise CommandError(
                        f"It came back ({printable(now.explanation)}). Nothing else was sent. "
                        f"The log of the {self.service} service says what happened."
                    )
                if now.kind is Kind.DONE:
                    return
                if time.monotonic() >= deadline:
                    raise CommandError(
                        f"It was not processed within {CANARY_SECONDS} s and stays in its queue. Nothing else was "
                        f"sent. Is the {self.service} service running?"
                    )
                time.sleep(POLL_SECONDS)

    def _send_others(self, message_ids: Collection[str], per_second: int, sent: list[str]) -> None:
        with self.walk("Sending the others") as walk:
            for letters in walk.batches(MAX_BATCH_ENTRIES):
                for letter in letters:
                    if letter.message.message_id in message_ids:
                        sent.append(self.dlq.redrive(letter))
                        walk.took([letter])
                        time.sleep(1 / per_second)
                if len(sent) > len(message_ids):  # these and the canary
                    break

    def purge(self, selection: Selection, *, dry_run: bool, agreed: Callable[[str], bool]) -> int:
        """Delete for good what is selected and was shown, and nothing that arrived since.

        ``agreed`` asks the operator, given the queue's name; no message is hidden meanwhile. Returns 0 when all of it
        is deleted, 1 when not. Raises `CommandError` when the operator does not agree.
        """
        say = self.progress.say
        with self.walk(f"Looking through {self.name}") as walk:
            plan = self._plan(walk, selection, "to delete for good")
        if plan.chosen.would_succeed:
            lost = f"{plan.chosen.would_succeed:,} of them would succeed."
            say(f"{lost} To keep those, redrive them first, or use --would-fail.")
        if not plan.reasons:
            return OK
        if dry_run:
            say("Nothing was deleted: this was a dry run.")
            return OK
        if not agreed(self.name):
            raise CommandError("Nothing was deleted.")
        messages = [{"messageId": message_id, "why": why} for message_id, why in plan.reasons.items()]
        self.log.record("purge", queue=self.name, messages=messages)
        deleted = self._delete(plan.reasons.keys(), selection)
        say(f"✔ {deleted:,} deleted")
        if deleted == len(plan.reasons):
            return OK
        say(f"{len(plan.reasons) - deleted:,} not deleted: they are gone, or would no longer fail.")
        return FAILED

    def _delete(self, message_ids: Collection[str], selection: Selection) -> int:
        """Delete those of ``message_ids`` that are still of the selected kinds. Returns how many were deleted."""
        deleted = 0
        try:
            with self.walk("Deleting them") as walk:
                for letters in walk.batches():
                    shown = [letter for letter in letters if letter.message.message_id in message_ids]
                    doomed = [one.letter for one in self.judge(self.service, shown) if selection.matches(one)]
                    deleted += self.dlq.delete(doomed)
                    walk.took(doomed)
                    if deleted == len(message_ids):
                        break
        finally:
            self.log.record("purge ended", queue=self.name, deleted=deleted)
        return deleted

    def _plan(self, walk: Walk, selection: Selection, action: str) -> Plan:
        """Look through the queue, and say what is chosen and what is left. ``action``: such as ``to send``."""
        plan, say = Plan(), self.progress.say
        for letters in walk.batches():
            for one in self.judge(self.service, letters):
                plan.add(one, chosen=selection.matches(one))
        say(f"{self.name}: {plan.chosen.looked_at:,} of {walk.seen:,} {action}")
        for line in (*_reasons(plan.chosen), *_unseen(walk)):
            say(line)
        if plan.left.looked_at:
            say(f"{plan.left.looked_at:,} left where they are (would fail again, or not selected):")
            for line in _reasons(plan.left):
                say(line)
        return plan

    @contextmanager
    def walk(self, title: str) -> Iterator[Walk]:
        with self.progress.step(title) as show, Walk(self.dlq, SystemClock(), show=show) as walk:
            yield walk


def show_list(catalog: Catalog, queue: Callable[[str], DeadLetters], judge: Judge, console: Console) -> int:
    """Print one row for each reason, of every service."""
    numeric = ("dead letters", "oldest", "count")
    table = plain_table("", "service", *numeric, "would be redriven", "because", numeric=numeric)
    found = 0
    with Progress(console).step("Looking through the dead letters") as show:
        for service in (one.name for one in catalog.consumers):
            survey = Survey()
            with Walk(queue(service), SystemClock(), show=show) as walk:
                for letters in walk.batches():
                    survey.add(judge(service, letters))
            found += walk.total
            first = (service, f"[red]{walk.total:,}[/]" if walk.total else "0")
            for row in _rows(survey, walk) or [("", "", "", "")]:
                table.add_row(*first, *row)
                first = ("", "")
    console.print(table)
    next_step = "Next: python -m scripts.dlq peek SERVICE, redrive SERVICE or purge SERVICE (see --help)"
    console.print(next_step if found else "No dead letters.")
    return OK


def _rows(survey: Survey, walk: Walk) -> list[tuple[str, str, str, str]]:
    rows = []
    for group in survey.groups:
        redriven = "yes" if group.kind.would_succeed else "no"
        rows.append((age(group.oldest), f"{group.count:,}", redriven, escape(printable(group.reason))))
    if walk.seen < walk.total:
        rows.append(("", f"{walk.total - walk.seen:,}", "", "not looked at: another command has hidden them"))
    return rows


def show_peek(target: Target, selection: Selection, console: Console, *, whole: bool) -> int:
    """Print up to `MAX_PEEKED` letters, those that would succeed first, and the reasons of all."""
    shown: list[Judged] = []
    survey = Survey()
    with target.walk(f"Looking through {target.name}") as walk:
        for letters in walk.batches():
            judged = list(filter(selection.matches, target.judge(target.service, letters)))
            survey.add(judged)
            shown = best_first([*shown, *judged], MAX_PEEKED)
    for number, one in enumerate(shown, start=1):
        message, colour = one.letter.message, "green" if one.kind.would_succeed else "red"
        console.rule(f"{number} of {len(shown)}: {one.message_id}", align="left", characters="─")
        console.print(f"sent {age(one.letter.sent_at)} ago, received {message.receive_count} times", markup=False)
        console.print(printable(one.explanation), style=colour, markup=False, soft_wrap=True)
        console.print(_ADVICE[one.kind], markup=False)
        console.print(body_text(message.body, whole=whole), markup=False, soft_wrap=True)
    console.rule(f"{len(shown):,} shown of {walk.seen:,}", align="left", characters="─")
    for line in (*_reasons(survey), *_unseen(walk)):
        console.print(line, markup=False)
    return OK


_ADVICE: Mapping[Kind, str] = {
    Kind.BREACH: "A redrive cannot help: correct the producer or the order, or purge the message.",
    Kind.FAILS: "The service would fail again: fix it first, then redrive.",
    Kind.UNKNOWN: "A dependency does not answer, so the result of a redrive is unknown. Try again later.",
    Kind.READY: "It would be processed now: redrive it. The service's log says why it failed before.",
    Kind.DONE: "Neither a redrive nor a purge would change anything.",
}


def body_text(body: str, *, whole: bool) -> str:
    """The message, indented if it is JSON, and cut unless ``whole``. Safe to print on a terminal."""
    try:
        text = jsontext.dumps(jsontext.loads(body), indent=2)
    except (ValueError, RecursionError):
        text = body
    if not whole and len(text) > MAX_BODY_CHARS:
        text = f"{text[:MAX_BODY_CHARS]}\n… {len(text) - MAX_BODY_CHARS} more characters: --whole shows them"
    return printable(text)


def age(sent_at: int) -> str:
    """The time since ``sent_at`` (ms), such as ``2 days, 3:04:05``."""
    return str(timedelta(seconds=max(0, SystemClock().now_ms() - sent_at) // 1000))


def _reasons(survey: Survey) -> Iterator[str]:
    return (f"  {group.count:>7,}  {printable(group.reason)}" for group in survey.groups)


def _unseen(walk: Walk) -> Iterator[str]:
    if walk.seen < walk.total:
        why = "another command has hidden them, or there are too many"
        yield f"{walk.total - walk.seen:,} of about {walk.total:,} were not looked at: {why}."


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = parser_of("scripts.dlq", ABOUT)
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|peek|redrive|purge")
    commands.add_parser("list", help="number, oldest message and reasons, by service")
    peek = commands.add_parser("peek", help="show messages and why each is there; what would succeed comes first")
    redrive = commands.add_parser("redrive", help="send messages back to their queue (a dry run without --yes)")
    purge = commands.add_parser("purge", help="delete messages for good; all of them, unless options select some")
    services = [service.name for service in configured_catalog(read_environment()).consumers]
    ids = "only the message with this id, as peek shows it; may be repeated"
    for command, kinds in ((peek, ALL), (redrive, WOULD_SUCCEED), (purge, ALL)):
        command.add_argument("service", choices=services, help="whose dead-letter queue")
        command.add_argument("--message", action="append", default=[], metavar="ID", dest="message_ids", help=ids)
        command.set_defaults(kinds=kinds)
    peek.add_argument("--whole", action="store_true", help="do not cut long messages")
    everything = "also what would fail again, or cannot be judged now"
    redrive.add_argument("--all", action="store_const", dest="kinds", const=ALL, help=everything)
    redrive.add_argument("--rate", type=number_up_to(MAX_PER_SECOND), default=10, metavar="N", help="a second (10)")
    redrive.add_argument("--yes", action="store_true", help="send the messages; without it, only show them")
    failing = "only what breaks its contract, or fails"
    purge.add_argument("--would-fail", action="store_const", dest="kinds", const=WOULD_FAIL, help=failing)
    action = purge.add_mutually_exclusive_group()
    action.add_argument("--yes", action="store_true", help="do not ask")
    action.add_argument("--dry-run", action="store_true", help="only show what would be deleted")
    return parser.parse_args(arguments)


def judge_of(aws: Aws, catalog: Catalog) -> Judge:
    """Says of dead letters what would become of each now."""
    return DryRun(Outbox(catalog, Contracts(catalog)), aws.orders, aws.products, aws.audit, SystemClock()).judge


def target_of(service: str, aws: Aws, catalog: Catalog, env: Mapping[str, str], progress: Progress) -> Target:
    """The dead-letter queue of ``service``, with the log that ``env`` names."""
    dlq = aws.dead_letters(service)
    return Target(service, dlq.name, dlq, judge_of(aws, catalog), OperatorLog.of(env), progress)


def agreed(queue: str) -> bool:
    """Whether the operator types the queue's name. Without a terminal the answer is no."""
    try:
        return input(f"Type the queue's name, {queue}, to delete them: ").strip() == queue
    except EOFError:
        print()
        return False


def main() -> int:
    options = parse(sys.argv[1:])
    env = adopt_environment()
    aws, catalog = connect(load_config(env), PATIENT), configured_catalog(env)
    console = new_console()
    if options.command == "list":
        return show_list(catalog, aws.dead_letters, judge_of(aws, catalog), console)
    target = target_of(options.service, aws, catalog, env, Progress(console))
    selection = Selection(options.kinds, options.message_ids)
    if options.command == "peek":
        target.log.record("peek", queue=target.name)
        return show_peek(target, selection, console, whole=options.whole)
    if options.command == "redrive":
        return target.redrive(selection, options.rate, confirmed=options.yes)
    return target.purge(selection, dry_run=options.dry_run, agreed=(lambda _: True) if options.yes else agreed)


if __name__ == "__main__":
    sys.exit(run_command(main))
