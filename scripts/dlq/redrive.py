"""Send dead letters back to their queue: one first, and the others only when that one was processed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain, repeat

from scripts.console import OK, CommandError, Progress
from scripts.dlq.showing import printable
from scripts.operator_log import OperatorLog
from shopflow.aws.dead_letters import SqsDeadLetters
from shopflow.dead_letters import LOOK_SECONDS, Judged, judge, taken
from shopflow.messaging.dry_run import Kind
from shopflow.ports import MAX_BATCH_ENTRIES, DeadLetter

CANARY_SECONDS = 120
"""Three receives of a message that fails for its own reasons take up to 4 + 16 + 64 s (`REDELIVERY`)."""
POLL_SECONDS = (0.5, 0.5, 1.0, 2.0, 4.0)
ROUND = 100
SHOWN_EVERY = 20


class Fate(Enum):
    """What became of the canary."""

    PROCESSED = "was processed"
    CAME_BACK = "came back"
    WAITS = "still waits"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asked for. ``everything``: however many, and those too that would fail again."""

    service: str
    limit: int
    per_second: int
    message_ids: frozenset[str]
    everything: bool
    confirmed: bool
    canary_seconds: float = CANARY_SECONDS

    @property
    def hide_seconds(self) -> int:
        """Until the last of them is sent, and a look's time more."""
        return LOOK_SECONDS + round(self.canary_seconds + self.limit / self.per_second)

    @property
    def empties_the_queue(self) -> bool:
        return self.everything and not self.message_ids

    def chosen(self, judged: Sequence[Judged]) -> list[Judged]:
        """Those to send, the one that tells most about the others first: the canary."""
        named = [one for one in judged if not self.message_ids or one.message_id in self.message_ids]
        wanted = [one for one in named if self.everything or one.verdict.kind.worth_a_redrive]
        return sorted(wanted, key=lambda one: one.verdict.kind is not Kind.READY)


def plan(wish: Wish, queue: str, chosen: Sequence[Judged], judged: Sequence[Judged]) -> str:
    """What is about to be sent, for people."""
    if not judged:
        return f"{queue} is empty."
    left = len(judged) - len(chosen)
    note = f"; {left} left where they are (would fail again, or not asked for)" if left else ""
    more = ", then whatever else is in the queue" if wish.empties_the_queue else ""
    return f"{queue}: {len(chosen)} of {len(judged)} to send, {wish.per_second} a second{more}{note}."


class Redrive:
    """One run. ``sent`` counts what is back in its queue, whatever ends the run."""

    def __init__(self, wish: Wish, dlq: SqsDeadLetters, log: OperatorLog, progress: Progress) -> None:
        self._wish = wish
        self._dlq = dlq
        self._log = log
        self._progress = progress
        self.sent = 0

    def run(self) -> int:
        """Do as wished. Returns 0; raises `CommandError` when the canary stopped it, or SQS its own move."""
        with taken(self._dlq, self._wish.limit, self._wish.hide_seconds) as letters:
            with self._progress.step(f"Looking at {len(letters)} dead letters"):
                judged = judge(self._wish.service, letters)
            chosen = self._wish.chosen(judged)
            self._progress.say(plan(self._wish, self._dlq.name, chosen, judged))
            if not chosen:
                return OK
            if not self._wish.confirmed:
                self._progress.say("Nothing was sent: this was a dry run. With --yes it is done.")
                return OK
            ids = [one.message_id for one in chosen]
            self._log.record("redrive", queue=self._dlq.name, messages=ids, all=self._wish.empties_the_queue)
            try:
                self._send_canary(chosen[0])
                self._send_the_others(chosen[1:], letters)
            finally:
                self._log.record("redrive ended", queue=self._dlq.name, sent=self.sent)
        self._progress.say(f"✔ {self.sent} sent back to the {self._wish.service} queue")
        return OK

    def _send_canary(self, canary: Judged) -> None:
        """Send one, and wait for its fate."""
        service, seconds = self._wish.service, self._wish.canary_seconds
        self._progress.say(f"The first, {canary.message_id}: {printable(canary.explanation)}")
        with self._progress.step("Sending the first, and waiting for what becomes of it"):
            sent_id = self._dlq.redrive(canary.letter)
            self.sent += 1
            fate = fate_of(sent_id, self._dlq, lambda: _has_effect(service, canary.letter), seconds)
        if fate is Fate.CAME_BACK:
            again = printable(judge(service, [canary.letter])[0].explanation)
            raise CommandError(
                f"It came back ({again}). Stopped: nothing else was sent. "
                f"The log of the {service} service has what happened to it."
            )
        if fate is Fate.WAITS:
            raise CommandError(
                f"Nobody processed it in {seconds:g} s: does the {service} service run? "
                "Stopped: nothing else was sent. It waits in its queue."
            )

    def _send_the_others(self, others: Sequence[Judged], held: Sequence[DeadLetter]) -> None:
        if not self._wish.empties_the_queue:
            self._send([one.letter for one in others], len(others))
            return
        depth = self._dlq.depth()
        self._dlq.give_back(held)
        if self._dlq.start_move(self._wish.per_second):
            self._watch_move(depth)
        else:
            self._send(self._whatever_is_there(depth), depth)

    def _send(self, letters: Iterable[DeadLetter], total: int) -> None:
        if not total:
            return
        with self._progress.step("Sending the others") as show:
            for number, letter in enumerate(letters, start=1):
                started = time.monotonic()
                self._dlq.redrive(letter)
                self.sent += 1
                if number % SHOWN_EVERY == 0:
                    show(f"{number} of {total}")
                time.sleep(max(0.0, 1 / self._wish.per_second - (time.monotonic() - started)))

    def _whatever_is_there(self, most: int) -> Iterator[DeadLetter]:
        """At most as many as there were: one that comes back meanwhile is not sent in circles."""
        while most > 0:
            with taken(self._dlq, min(ROUND, most)) as letters:
                if not letters:
                    return
                most -= len(letters)
                yield from letters

    def _watch_move(self, total: int) -> None:
        with self._progress.step("SQS is moving the others") as show:
            while (task := self._dlq.move()).status == "RUNNING":
                show(f"{task.moved} of about {total}")
                time.sleep(POLL_SECONDS[0])
        self.sent += task.moved
        if task.status != "COMPLETED":
            raise CommandError(f"SQS stopped after {task.moved} ({task.status} {task.failure}). Run it again.")


def fate_of(message_id: str, dlq: SqsDeadLetters, has_effect: Callable[[], bool], patience_seconds: float) -> Fate:
    """What became of a message that was sent back: in the dead-letter queue again, or processed, or neither in time."""
    arrived: list[DeadLetter] = []
    deadline = time.monotonic() + patience_seconds
    pauses = chain(POLL_SECONDS, repeat(POLL_SECONDS[-1]))
    try:
        while True:
            received = dlq.receive(MAX_BATCH_ENTRIES, LOOK_SECONDS, wait_seconds=0)
            arrived += map(_without_body, received)
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
        dlq.give_back(arrived)


def _without_body(letter: DeadLetter) -> DeadLetter:
    """Enough of it to give it back: a queue of any size can be looked through."""
    return replace(letter, message=replace(letter.message, body=""), attributes={})


def _has_effect(service: str, letter: DeadLetter) -> bool:
    return judge(service, [letter])[0].verdict.kind is Kind.DONE
