"""Look into the dead-letter queues, and empty them: `python -m scripts.dlq --help`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import chain, repeat

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.console import FAILED, OK, CommandError, Progress, number_up_to, run_command
from scripts.operator_log import OperatorLog
from shopflow import jsontext
from shopflow.aws.calls import PATIENT
from shopflow.aws.queues import SqsDeadLetters
from shopflow.aws.wiring import connect
from shopflow.catalog import Catalog
from shopflow.clock import SystemClock
from shopflow.config import adopt_environment, configured_catalog, load_config, read_environment
from shopflow.contracts import Contracts
from shopflow.messaging.outbox import Outbox
from shopflow.ports import MAX_BATCH_ENTRIES, DeadLetter, DeadLetters
from workers.dead_letters import MIN_HIDE_SECONDS, Survey, Walk, best_first, without_body
from workers.dry_run import DryRun, Judge, Judged, Kind

CANARY_SECONDS = 120
"""Three receives of a message that fails on its own take up to 4 + 16 + 64 s (`REDELIVERY`)."""
POLL_SECONDS = (0.5, 0.5, 1.0, 2.0, 4.0)
MAX_PER_SECOND = 500
MAX_LETTERS = 1_000_000
MAX_PEEKED, PEEKED = 1000, 100
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


class Filter(Enum):
    """Selects dead letters by what would become of them now."""

    ALL = "all"
    WOULD_SUCCEED = "would succeed"
    WOULD_FAIL = "would fail again"

    def matches(self, one: Judged) -> bool:
        if self is Filter.ALL:
            return True
        return one.kind.would_succeed if self is Filter.WOULD_SUCCEED else one.kind.would_fail


@dataclass(frozen=True, slots=True)
class Selection:
    """``message_ids``: only these, if any are given. ``limit``: at most this many; None: no limit."""

    filter: Filter = Filter.ALL
    message_ids: frozenset[str] = frozenset()
    limit: int | None = None

    def matches(self, one: Judged, already: int = 0) -> bool:
        """Whether ``one`` is selected when ``already`` others are."""
        named = not self.message_ids or one.message_id in self.message_ids
        return named and self.filter.matches(one) and (self.limit is None or already < self.limit)


class Plan:
    """What a command will act on (``chosen``), and what it leaves. ``reasons`` has the chosen ones by message id.

    ``canary``: the chosen letter that says most about the others.
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self.chosen, self.left = Survey(), Survey()
        self.reasons: dict[str, str] = {}
        self.canary: Judged | None = None

    def add(self, judged: Sequence[Judged]) -> None:
        for one in judged:
            if not self._selection.matches(one, len(self.reasons)):
                self.left.add([one])
                continue
            self.chosen.add([one])
            self.reasons[one.message_id] = sys.intern(one.reason)
            if self.canary is None or one.kind.rank < self.canary.kind.rank:
                self.canary = one


@dataclass(frozen=True, slots=True)
class Target:
    """The dead-letter queue ``name`` of ``service``, and what a command on it needs."""

    service: str
    name: str
    dlq: DeadLetters
    judge: Judge
    log: OperatorLog
    progress: Progress

    @contextmanager
    def walk(self, title: str) -> Iterator[Walk]:
        with self.progress.step(title) as show, Walk(self.dlq, SystemClock(), show=show) as walk:
            yield walk

    def judged(self, walk: Walk) -> Iterator[list[Judged]]:
        return (self.judge(self.service, letters) for letters in walk.batches())

    def report(self, plan: Plan, action: str, walk: Walk) -> None:
        """Say what is chosen and what is left. ``action``: such as ``to send``."""
        chosen, left, say = plan.chosen, plan.left, self.progress.say
        if not walk.total:
            say(f"{self.name} is empty.")
            return
        say(f"{self.name}: {chosen.looked_at:,} of {walk.seen:,} {action}")
        for line in (*_reasons(chosen), *_unseen(walk.seen, walk.total)):
            say(line)
        if left.looked_at:
            say(f"{left.looked_at:,} left where they are (would fail again, or not selected):")
            for line in _reasons(left):
                say(line)


@dataclass(slots=True)
class Redrive:
    """One run of the command. ``sent``: how many messages are back in their queue; None: it is a dry run so far."""

    target: Target
    selection: Selection
    per_second: int
    confirmed: bool
    patience_seconds: float = CANARY_SECONDS
    sent: int | None = None

    def run(self) -> int:
        """Send what is selected. Returns 0; raises `CommandError` when the first message was not processed."""
        try:
            return self._run()
        finally:
            if self.sent is not None:
                self.target.log.record("redrive ended", queue=self.target.name, sent=self.sent)

    def _run(self) -> int:
        target, plan = self.target, Plan(self.selection)
        with target.walk(f"Looking through {target.name}") as walk:
            for judged in target.judged(walk):
                plan.add(judged)
            target.report(plan, f"to send, {self.per_second} a second", walk)
            if plan.canary is None:
                return OK
            if not self.confirmed:
                target.progress.say("Nothing was sent: this was a dry run. Use --yes to send.")
                return OK
            target.log.record("redrive", queue=target.name, messages=sorted(plan.reasons))
            self.sent = 0
            self._send_canary(plan.canary, walk)
        others = plan.reasons.keys() - {plan.canary.message_id}
        if others:
            self._send_others(others)
        target.progress.say(f"✔ {self.sent:,} sent back to the {target.service} queue")
        return OK

    def _send_canary(self, canary: Judged, walk: Walk) -> None:
        """Send one message and wait until it has its effect. All others are hidden, so what arrives meanwhile is new.

        Raises `CommandError` when the message comes back, or when it is not processed in time.
        """
        target = self.target
        target.progress.say(f"Sending {canary.message_id} first: {printable(canary.explanation)}")
        sent_id = self._send(canary.letter, walk)
        deadline = time.monotonic() + self.patience_seconds
        pauses = chain(POLL_SECONDS, repeat(POLL_SECONDS[-1]))
        arrived: list[DeadLetter] = []
        try:
            while True:
                received = target.dlq.receive(MAX_BATCH_ENTRIES, MIN_HIDE_SECONDS, wait_seconds=0)
                arrived += map(without_body, received)
                if any(letter.message.message_id == sent_id for letter in received):
                    raise CommandError(
                        f"It came back ({printable(self._judge_again(canary).explanation)}). Nothing else was sent. "
                        f"The log of the {target.service} service says what happened."
                    )
                if received:
                    continue
                if self._judge_again(canary).kind is Kind.DONE:
                    return
                if time.monotonic() >= deadline:
                    raise CommandError(
                        f"It was not processed within {self.patience_seconds:g} s and stays in its queue. Nothing else "
                        f"was sent. Is the {target.service} service running?"
                    )
                time.sleep(next(pauses))
        finally:
            target.dlq.hide(arrived, 0)

    def _judge_again(self, one: Judged) -> Judged:
        return self.target.judge(self.target.service, [one.letter])[0]

    def _send_others(self, message_ids: Collection[str]) -> None:
        left = len(message_ids)
        with self.target.walk("Sending the others") as walk:
            for letters in walk.batches(MAX_BATCH_ENTRIES):
                for letter in letters:
                    if letter.message.message_id in message_ids:
                        started = time.monotonic()
                        self._send(letter, walk)
                        time.sleep(max(0.0, 1 / self.per_second - (time.monotonic() - started)))
                        left -= 1
                if not left:
                    break

    def _send(self, letter: DeadLetter, walk: Walk) -> str:
        sent_id = self.target.dlq.redrive(letter)
        walk.took([letter])
        self.sent = (self.sent or 0) + 1
        return sent_id


@dataclass(frozen=True, slots=True)
class Purge:
    """One run of the command. ``agreed`` asks the operator, given the queue's name."""

    target: Target
    selection: Selection
    dry_run: bool
    agreed: Callable[[str], bool]

    def run(self) -> int:
        """Delete for good what is selected and was shown, and nothing that arrived since.

        Returns 0 when all of it is deleted, 1 when not. Raises `CommandError` when the operator does not agree. While
        the operator is asked, no message is hidden.
        """
        target, plan = self.target, Plan(self.selection)
        with target.walk(f"Looking through {target.name}") as walk:
            for judged in target.judged(walk):
                plan.add(judged)
        target.report(plan, "to delete for good", walk)
        if plan.chosen.would_succeed:
            lost = f"{plan.chosen.would_succeed:,} of them would succeed."
            target.progress.say(f"{lost} To keep those, redrive them first, or use --would-fail.")
        if not plan.reasons:
            return OK
        if self.dry_run:
            target.progress.say("Nothing was deleted: this was a dry run.")
            return OK
        if not self.agreed(target.name):
            raise CommandError("Nothing was deleted.")
        messages = [{"messageId": message_id, "why": why} for message_id, why in plan.reasons.items()]
        target.log.record("purge", queue=target.name, messages=messages)
        deleted = self._delete(plan.reasons.keys())
        target.progress.say(f"✔ {deleted:,} deleted")
        if deleted == len(plan.reasons):
            return OK
        target.progress.say(f"{len(plan.reasons) - deleted:,} not deleted: they are gone, or would no longer fail.")
        return FAILED

    def _delete(self, message_ids: Collection[str]) -> int:
        """Delete those of ``message_ids`` that the filter still matches. Returns how many were deleted."""
        target, deleted = self.target, 0
        try:
            with target.walk("Deleting them") as walk:
                for letters in walk.batches():
                    doomed = [letter for letter in letters if letter.message.message_id in message_ids]
                    if self.selection.filter is not Filter.ALL:
                        judged = target.judge(target.service, doomed)
                        doomed = [one.letter for one in judged if self.selection.filter.matches(one)]
                    deleted += target.dlq.delete(doomed)
                    walk.took(doomed)
                    if deleted == len(message_ids):
                        break
        finally:
            target.log.record("purge ended", queue=target.name, deleted=deleted)
        return deleted


def show_list(catalog: Catalog, queue: Callable[[str], DeadLetters], judge: Judge, console: Console) -> int:
    found: dict[str, tuple[Survey, int]] = {}
    with Progress(console).step("Looking through the dead letters") as show:
        for service in catalog.consumers:
            survey = Survey()
            with Walk(queue(service.name), SystemClock(), show=show) as walk:
                for letters in walk.batches():
                    survey.add(judge(service.name, letters))
            found[service.name] = survey, walk.total
    console.print(list_table(found, SystemClock().now_ms()))
    if any(depth for _, depth in found.values()):
        console.print("Next: python -m scripts.dlq peek SERVICE, redrive SERVICE or purge SERVICE (see --help)")
    else:
        console.print("No dead letters.")
    return OK


def show_peek(target: Target, selection: Selection, console: Console, most: int, *, whole: bool) -> int:
    shown: list[Judged] = []
    plan = Plan(selection)
    with target.walk(f"Looking through {target.name}") as walk:
        for judged in target.judged(walk):
            plan.add(judged)
            shown = best_first([*shown, *filter(selection.matches, judged)], most)
    now_ms = SystemClock().now_ms()
    for number, one in enumerate(shown, start=1):
        console.rule(f"{number} of {len(shown)}: {one.message_id}", align="left", characters="─")
        show_letter(one, now_ms, console, whole=whole)
    console.rule(f"{len(shown):,} shown of {walk.seen:,}", align="left", characters="─")
    for line in (*_reasons(plan.chosen), *_unseen(walk.seen, walk.total)):
        console.print(line, markup=False)
    return OK


def list_table(queues: Mapping[str, tuple[Survey, int]], now_ms: int) -> Table:
    """One row for each reason. ``queues``: the survey and the number of dead letters, by service."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("service", "dead letters", "oldest", "count", "would be redriven", "because"):
        numeric = name in ("dead letters", "oldest", "count")
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for service, (survey, depth) in queues.items():
        rows = []
        for group in survey.groups:
            oldest, redriven = age((now_ms - group.oldest) / 1000), "yes" if group.kind.would_succeed else "no"
            rows.append((oldest, f"{group.count:,}", redriven, escape(printable(group.reason))))
        if survey.looked_at < depth:
            rows.append(("", f"{depth - survey.looked_at:,}", "", "not looked at: another command has hidden them"))
        first = (service, f"[red]{depth:,}[/]" if depth else "0")
        for row in rows or [("", "", "", "")]:
            table.add_row(*first, *row)
            first = ("", "")
    return table


_ADVICE: Mapping[Kind, str] = {
    Kind.BREACH: "A redrive cannot help: correct the producer or the order, or purge the message.",
    Kind.FAILS: "The service would fail again: fix it first, then redrive.",
    Kind.UNKNOWN: "A dependency does not answer, so the result of a redrive is unknown. Try again later.",
    Kind.READY: "It would be processed now: redrive it. The service's log says why it failed before.",
    Kind.DONE: "Neither a redrive nor a purge would change anything.",
}


def show_letter(one: Judged, now_ms: int, console: Console, *, whole: bool) -> None:
    """A dead letter, why it is there, and what to do."""
    message = one.letter.message
    sent = f"sent {age((now_ms - one.letter.sent_at) / 1000)} ago"
    console.print(f"{sent}, received {message.receive_count} times", markup=False)
    colour = "green" if one.kind.would_succeed else "red"
    console.print(printable(one.explanation), style=colour, markup=False, soft_wrap=True)
    console.print(_ADVICE[one.kind], markup=False)
    console.print(body_text(message.body, whole=whole), markup=False, soft_wrap=True)


def body_text(body: str, *, whole: bool) -> str:
    """The message, indented if it is JSON, and cut unless ``whole``. Safe to print on a terminal."""
    try:
        text = jsontext.dumps(jsontext.loads(body), indent=2)
    except (ValueError, RecursionError):
        text = body
    if not whole and len(text) > MAX_BODY_CHARS:
        text = f"{text[:MAX_BODY_CHARS]}\n… {len(text) - MAX_BODY_CHARS} more characters: --whole shows them"
    return printable(text)


def printable(text: str) -> str:
    """``text`` without control characters, which could command a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def age(seconds: float) -> str:
    """A duration in its two largest units, such as ``2 h 5 min``."""
    rest = max(0, int(seconds))
    parts: list[tuple[int, str]] = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count) or "0 s"


def _reasons(survey: Survey) -> Iterator[str]:
    width = max((len(f"{group.count:,}") for group in survey.groups), default=0)
    return (f"  {group.count:>{width},}  {printable(group.reason)}" for group in survey.groups)


def _unseen(looked_at: int, depth: int) -> Iterator[str]:
    if looked_at < depth:
        why = "another command has hidden them, or there are too many"
        yield f"{depth - looked_at:,} of about {depth:,} were not looked at: {why}."


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.dlq", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|peek|redrive|purge")
    about = "number, oldest message and reasons, by service"
    commands.add_parser("list", help=about, description=about)
    peek = _add_command(commands, "peek", "show messages and why each is there; what would succeed comes first")
    peek.add_argument("--whole", action="store_true", help="do not cut long messages")
    peek.add_argument("--limit", type=number_up_to(MAX_PEEKED), default=PEEKED, metavar="N", help="show N (100)")
    _add_filter(peek, Filter.ALL, Filter.WOULD_SUCCEED, Filter.WOULD_FAIL)
    redrive = _add_command(commands, "redrive", "send messages back to their queue (a dry run without --yes)")
    _add_filter(redrive, Filter.WOULD_SUCCEED, Filter.WOULD_SUCCEED, Filter.ALL)
    _add_action(redrive, "send", "send the messages; without it, only show what would be sent")
    redrive.add_argument("--rate", type=number_up_to(MAX_PER_SECOND), default=10, metavar="N", help="a second (10)")
    patience = f"how long to wait for the first ({CANARY_SECONDS})"
    redrive.add_argument(
        "--patience", type=number_up_to(3600), default=CANARY_SECONDS, metavar="SECONDS", help=patience
    )
    purge = _add_command(commands, "purge", "delete messages for good; all of them, unless options select some")
    _add_filter(purge, Filter.ALL, Filter.WOULD_FAIL)
    _add_action(purge, "delete", "do not ask")
    return parser.parse_args(arguments)


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, about: str
) -> argparse.ArgumentParser:
    services = [service.name for service in configured_catalog(read_environment()).consumers]
    command = commands.add_parser(name, help=about, description=about)
    command.add_argument("service", choices=services, help="whose dead-letter queue")
    ids = "only the message with this id, as peek shows it; may be repeated"
    command.add_argument("--message", action="append", default=[], metavar="ID", dest="message_ids", help=ids)
    return command


def _add_filter(command: argparse.ArgumentParser, default: Filter, *others: Filter) -> None:
    options = {
        Filter.WOULD_SUCCEED: ("--would-succeed", "only what would succeed, or has had its effect already"),
        Filter.WOULD_FAIL: ("--would-fail", "only what breaks its contract, or fails"),
        Filter.ALL: ("--all", "also what would fail again, or cannot be judged now"),
    }
    group = command.add_mutually_exclusive_group()
    group.set_defaults(filter=default)
    for one in others:
        option, text = options[one]
        group.add_argument(option, action="store_const", dest="filter", const=one, help=text)


def _add_action(command: argparse.ArgumentParser, verb: str, yes: str) -> None:
    command.add_argument("--limit", type=number_up_to(MAX_LETTERS), metavar="N", help=f"{verb} no more than N")
    action = command.add_mutually_exclusive_group()
    action.add_argument("--yes", action="store_true", help=yes)
    action.add_argument("--dry-run", action="store_true", help="only show what would be done")


def agreed(queue: str) -> bool:
    """Whether the operator types the queue's name. Without a terminal, nobody agrees."""
    try:
        return input(f"Type the queue's name, {queue}, to delete them: ").strip() == queue
    except EOFError:
        print()
        return False


def main() -> int:
    options = parse(sys.argv[1:])
    env = adopt_environment()
    aws, catalog = connect(load_config(env), PATIENT), configured_catalog(env)
    dry_run = DryRun(Outbox(catalog, Contracts(catalog)), aws.orders, aws.products, aws.audit, SystemClock())
    console = Console(highlight=False)
    if options.command == "list":
        return show_list(catalog, aws.dead_letters, dry_run.judge, console)
    dlq: SqsDeadLetters = aws.dead_letters(options.service)
    log, progress = OperatorLog.of(env), Progress(console)
    target = Target(options.service, dlq.name, dlq, dry_run.judge, log, progress)
    message_ids = frozenset(options.message_ids)
    if options.command == "peek":
        log.record("peek", queue=dlq.name)
        return show_peek(target, Selection(options.filter, message_ids), console, options.limit, whole=options.whole)
    selection = Selection(options.filter, message_ids, options.limit)
    if options.command == "redrive":
        return Redrive(target, selection, options.rate, options.yes, options.patience).run()
    return Purge(target, selection, options.dry_run, (lambda _: True) if options.yes else agreed).run()


if __name__ == "__main__":
    sys.exit(run_command(main))
