"""Send dead letters back to their queue: one first, and the others only when that one was processed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import chain, repeat
from typing import Protocol

from scripts.console import OK, CommandError, Progress
from scripts.dlq.choosing import Choice, Which
from scripts.dlq.showing import printable, reasons, unseen
from scripts.operator_log import OperatorLog
from shopflow.aws.queues import MoveTask
from shopflow.clock import SystemClock
from shopflow.dead_letters import HIDE_SECONDS, Walk, without_body
from shopflow.ports import MAX_BATCH_ENTRIES, DeadLetter, DeadLetters
from workers.dead_letters import Judge, Judged, Survey
from workers.dry_run import Kind

CANARY_SECONDS = 120
"""Three receives of a message that fails for its own reasons take up to 4 + 16 + 64 s (`REDELIVERY`)."""
POLL_SECONDS = (0.5, 0.5, 1.0, 2.0, 4.0)


class MovableDeadLetters(DeadLetters, Protocol):
    """A dead-letter queue that may be emptied by SQS itself."""

    def start_move(self, per_second: int) -> bool: ...
    def move(self) -> MoveTask: ...


class Fate(Enum):
    """What became of the canary."""

    PROCESSED = "was processed"
    CAME_BACK = "came back"
    WAITS = "still waits"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asked for, of the dead-letter queue ``name`` of ``service``."""

    service: str
    name: str
    choice: Choice
    per_second: int
    confirmed: bool
    canary_seconds: float = CANARY_SECONDS

    @property
    def empties_the_queue(self) -> bool:
        return self.choice == Choice(Which.ALL)


class Plan:
    """What is to be sent and what is left. The canary is the one that tells most about the others."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self.chosen, self.left = Survey(), Survey()
        self.message_ids: set[str] = set()
        self.canary: Judged | None = None

    def add(self, judged: Sequence[Judged]) -> None:
        for one in judged:
            if not self._choice.takes(one, len(self.message_ids)):
                self.left.add([one])
                continue
            self.chosen.add([one])
            self.message_ids.add(one.message_id)
            if self.canary is None or one.kind.rank < self.canary.kind.rank:
                self.canary = one


class Redrive:
    """One run. ``sent`` counts what is back in its queue, whatever ends the run."""

    def __init__(self, wish: Wish, dlq: MovableDeadLetters, judge: Judge, log: OperatorLog, progress: Progress) -> None:
        self._wish = wish
        self._dlq = dlq
        self._judge = judge
        self._log = log
        self._progress = progress
        self.sent = 0

    def run(self) -> int:
        """Do as wished. Returns 0; raises `CommandError` when the canary stopped it, or SQS its own move."""
        wish, plan = self._wish, Plan(self._wish.choice)
        with ExitStack() as logged:
            looking = self._progress.step(f"Looking through {wish.name}")
            with looking as show, Walk(self._dlq, SystemClock(), show=show) as walk:
                for letters in walk.batches():
                    plan.add(self._judge(wish.service, letters))
                self._say(plan, max(walk.depth, walk.seen))
                if plan.canary is None:
                    return OK
                if not wish.confirmed:
                    self._progress.say("Nothing was sent: this was a dry run. With --yes it is done.")
                    return OK
                logged.enter_context(self._logged(plan))
                self._send_canary(plan.canary, walk, show)
            plan.message_ids.remove(plan.canary.message_id)
            if plan.message_ids:
                self._send_the_others(plan.message_ids)
        self._progress.say(f"✔ {self.sent:,} sent back to the {wish.service} queue")
        return OK

    def _say(self, plan: Plan, depth: int) -> None:
        chosen, left, say = plan.chosen, plan.left, self._progress.say
        looked_at = chosen.looked_at + left.looked_at
        if not depth:
            say(f"{self._wish.name} is empty.")
            return
        say(f"{self._wish.name}: {chosen.looked_at:,} of {looked_at:,} to send, {self._wish.per_second} a second")
        for line in (*reasons(chosen), *unseen(looked_at, depth)):
            say(line)
        if left.looked_at:
            say(f"{left.looked_at:,} left where they are (would fail again, or not asked for):")
            for line in reasons(left):
                say(line)

    @contextmanager
    def _logged(self, plan: Plan) -> Iterator[None]:
        name, ids = self._wish.name, sorted(plan.message_ids)
        self._log.record("redrive", queue=name, messages=ids, all=self._wish.empties_the_queue)
        try:
            yield
        finally:
            self._log.record("redrive ended", queue=name, sent=self.sent)

    def _send_canary(self, canary: Judged, walk: Walk, show: Callable[[str], None]) -> None:
        """Send one, and wait for its fate. All others are hidden meanwhile, so what comes into the queue is new."""
        service, seconds = self._wish.service, self._wish.canary_seconds
        self._progress.say(f"The first, {canary.message_id}: {printable(canary.explanation)}")
        show("sent the first, waiting for what becomes of it")
        sent_id = self._dlq.redrive(canary.letter)
        walk.took([canary.letter])
        self.sent += 1

        def has_effect() -> bool:
            walk.renew()
            return self._again(canary).kind is Kind.DONE

        fate = fate_of(sent_id, self._dlq, has_effect, seconds)
        if fate is Fate.CAME_BACK:
            raise CommandError(
                f"It came back ({printable(self._again(canary).explanation)}). Stopped: nothing else was sent. "
                f"The log of the {service} service has what happened to it."
            )
        if fate is Fate.WAITS:
            raise CommandError(
                f"Nobody processed it in {seconds:g} s: does the {service} service run? "
                "Stopped: nothing else was sent. It waits in its queue."
            )

    def _again(self, one: Judged) -> Judged:
        return self._judge(self._wish.service, [one.letter])[0]

    def _send_the_others(self, message_ids: Collection[str]) -> None:
        if self._wish.empties_the_queue and self._dlq.start_move(self._wish.per_second):
            self._watch_move(len(message_ids))
            return
        left = len(message_ids)
        with self._progress.step("Sending the others") as show, Walk(self._dlq, SystemClock()) as walk:
            for letters in walk.batches(MAX_BATCH_ENTRIES):
                for letter in letters:
                    if letter.message.message_id in message_ids:
                        self._send(letter, walk)
                        left -= 1
                show(f"{len(message_ids) - left:,} of {len(message_ids):,}")
                if not left:
                    break

    def _send(self, letter: DeadLetter, walk: Walk) -> None:
        started = time.monotonic()
        self._dlq.redrive(letter)
        walk.took([letter])
        self.sent += 1
        time.sleep(max(0.0, 1 / self._wish.per_second - (time.monotonic() - started)))

    def _watch_move(self, total: int) -> None:
        with self._progress.step("SQS is moving the others") as show:
            while (task := self._dlq.move()).status == "RUNNING":
                show(f"{task.moved:,} of about {total:,}")
                time.sleep(POLL_SECONDS[0])
        self.sent += task.moved
        if task.status != "COMPLETED":
            raise CommandError(f"SQS stopped after {task.moved} ({task.status} {task.failure}). Run it again.")


def fate_of(message_id: str, dlq: DeadLetters, has_effect: Callable[[], bool], patience_seconds: float) -> Fate:
    """What became of a message that was sent back: in the dead-letter queue again, or processed, or neither in time."""
    arrived: list[DeadLetter] = []
    deadline = time.monotonic() + patience_seconds
    pauses = chain(POLL_SECONDS, repeat(POLL_SECONDS[-1]))
    try:
        while True:
            received = dlq.receive(MAX_BATCH_ENTRIES, HIDE_SECONDS, wait_seconds=0)
            arrived += map(without_body, received)
            if any(letter.message.message_id == message_id for letter in received):
                return Fate.CAME_BACK
            if received:
                continue
            if has_effect():
                return Fate.PROCESSED
            if time.monotonic() > deadline:
                return Fate.WAITS
            time.sleep(next(pauses))
    finally:
        dlq.hide(arrived, 0)
