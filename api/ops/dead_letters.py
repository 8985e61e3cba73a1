"""Dead letters as the operator's page shows them, and what becomes of them there: sent again, or deleted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shopflow import jsontext
from shopflow.clock import Clock
from shopflow.dead_letters import Walk
from shopflow.domain.times import to_text
from shopflow.errors import Unavailable
from shopflow.ports import DeadLetter, DeadLetters
from workers.dead_letters import Group, Judge, Judged, Survey, best_first

log = logging.getLogger(__name__)

MAX_SHOWN = 100
MAX_REDRIVEN = 100
LOOK_SECONDS = 5
"""Nothing more is looked at after so long: the answer tells how many were. Giving back takes about as long again."""
HIDE_SECONDS = 120
"""For how long others do not see what is looked at, if this process dies meanwhile."""
BUSY_SECONDS = 2
"""How long to wait for somebody else's look. All in all an answer comes before the page gives up (15 s)."""
BATCH = 25
"""Letters looked at between two looks at the clock."""
MAX_BODY_CHARACTERS = 8000


@dataclass(frozen=True, slots=True)
class Wish:
    """Which dead letters to redrive: the named ones, or (None) all that would succeed."""

    message_ids: frozenset[str] | None


class DeadLetterDesk:
    """One look at a time: what one look has taken, another would not find.

    Each goes through as much of the queue as fits into `LOOK_SECONDS`, and says in ``lookedAt`` how many that were, in
    ``more`` whether the queue goes on. ``queue`` gives the dead letters of a service, ``judge`` tells what would become
    of some of them now. Every method raises `Unavailable`.
    """

    def __init__(self, queue: Callable[[str], DeadLetters], clock: Clock, judge: Judge) -> None:
        self._queue = queue
        self._clock = clock
        self._judge = judge
        self._desk = threading.Lock()

    def look(self, service: str) -> dict[str, Any]:
        """How many there are, for which reasons, and `MAX_SHOWN` of them: those first that would succeed."""
        survey, shown = Survey(), list[Judged]()
        with self._turn(service) as turn:
            for letters in turn.batches():
                judged = self._judge(service, letters)
                survey.add(judged)
                shown = best_first([*shown, *judged], MAX_SHOWN)
        return {
            **turn.looked(),
            "deadLetters": max(turn.walk.depth, turn.walk.seen),
            "wouldSucceed": survey.would_succeed,
            "wouldFail": survey.would_fail,
            "reasons": [group_view(group) for group in survey.groups],
            "letters": [letter_view(one) for one in shown],
        }

    def redrive(self, service: str, wish: Wish) -> dict[str, Any]:
        """Send them back to their queue, up to `MAX_REDRIVEN`. One that is sent twice has no second effect."""
        redriven: list[str] = []
        sent: set[str] = set()  # the ids that they have now: one that comes back is not sent in circles
        with self._turn(service) as turn:
            for letter in self._chosen(service, turn, wish.message_ids):
                if len(redriven) == MAX_REDRIVEN or turn.is_over:
                    turn.stopped = True
                    break
                if letter.message.message_id in sent:
                    continue
                sent.add(turn.dlq.redrive(letter))
                turn.walk.took([letter])
                redriven.append(letter.message.message_id)
                if len(redriven) == len(wish.message_ids or ()):
                    break
            left = turn.dlq.depth()
        log.info("the operator redrove %d dead letter(s) of %s: %s", len(redriven), service, ", ".join(redriven))
        return {"redriven": len(redriven), "left": left, **turn.looked()}

    def purge(self, service: str) -> dict[str, Any]:
        """Delete for good what would fail again: as it is judged now, whatever an earlier look has said."""
        purged = 0
        with self._turn(service) as turn:
            for letters in turn.batches():
                doomed = [one for one in self._judge(service, letters) if one.kind.would_fail]
                traces = ", ".join(f"{one.message_id} ({one.reason})" for one in doomed)
                log.info("the operator purges %d dead letter(s) of %s: %s", len(doomed), service, traces)
                purged += turn.dlq.delete([one.letter for one in doomed])
                turn.walk.took([one.letter for one in doomed])
            left = turn.dlq.depth()
        return {"purged": purged, "left": left, **turn.looked()}

    def _chosen(self, service: str, turn: Turn, message_ids: Collection[str] | None) -> Iterator[DeadLetter]:
        for letters in turn.batches():
            if message_ids is not None:
                yield from (letter for letter in letters if letter.message.message_id in message_ids)
            else:
                yield from (one.letter for one in self._judge(service, letters) if one.kind.would_succeed)

    @contextmanager
    def _turn(self, service: str) -> Iterator[Turn]:
        dlq = self._queue(service)
        if not self._desk.acquire(timeout=BUSY_SECONDS):
            raise Unavailable("another look at the dead letters takes its time")
        try:
            with Walk(dlq, self._clock, HIDE_SECONDS) as walk:
                yield Turn(dlq, walk, self._clock)
        finally:
            self._desk.release()


class Turn:
    """One walk of the desk's, and the time that it has. ``stopped``: it was ended before it had done all."""

    def __init__(self, dlq: DeadLetters, walk: Walk, clock: Clock) -> None:
        self.dlq = dlq
        self.walk = walk
        self._clock = clock
        self._ends_at = clock.now_ms() + LOOK_SECONDS * 1000
        self.stopped = False

    @property
    def is_over(self) -> bool:
        return self._clock.now_ms() >= self._ends_at

    def batches(self) -> Iterator[list[DeadLetter]]:
        for letters in self.walk.batches(BATCH):
            yield letters
            if self.is_over and not self.walk.ended:
                self.stopped = True
                return

    def looked(self) -> dict[str, Any]:
        """How many were looked at, and whether there may be others that this turn did not get to."""
        return {"lookedAt": self.walk.seen, "more": self.stopped}


def group_view(group: Group) -> dict[str, Any]:
    """The dead letters of one reason."""
    return {
        "kind": group.kind.name.lower(),
        "reason": group.reason,
        "redrivable": group.kind.would_succeed,
        "count": group.count,
    }


def letter_view(judged: Judged) -> dict[str, Any]:
    """A dead letter and why it is there; of which order and event, if its text tells."""
    message = judged.letter.message
    envelope = _envelope(message.body)
    return {
        "messageId": message.message_id,
        "sentAt": to_text(judged.letter.sent_at),
        "receiveCount": message.receive_count,
        "kind": judged.kind.name.lower(),
        "reason": judged.explanation,
        "redrivable": judged.kind.would_succeed,
        "orderId": _text(envelope.get("correlationId")),
        "eventType": _text(envelope.get("eventType")),
        "body": message.body[:MAX_BODY_CHARACTERS],
    }


def _envelope(body: str) -> dict[str, Any]:
    try:
        value = jsontext.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
