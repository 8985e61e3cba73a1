"""Dead letters as the operator's page shows them, and their way back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from shopflow import dead_letters, jsontext
from shopflow.clock import Clock
from shopflow.dead_letters import Judged, taken
from shopflow.domain.times import to_text
from shopflow.errors import Unavailable
from shopflow.ports import DeadLetter, DeadLetters

log = logging.getLogger(__name__)

MOST_SHOWN = 100
MOST_REDRIVEN = 100
REDRIVE_SECONDS = 5
"""Nothing more is sent after so long: the answer tells how many are left."""
JUDGE_SECONDS = 6
HIDE_SECONDS = 120
"""For how long others do not see what is looked at, if this process dies meanwhile."""
BUSY_SECONDS = 2
"""How long to wait for somebody else's look. All in all an answer comes before the page gives up (15 s)."""
MOST_BODY_CHARACTERS = 8000

Judge = Callable[[str, Sequence[DeadLetter]], list[Judged]]
judge_in_time: Judge = partial(dead_letters.judge, within_seconds=JUDGE_SECONDS)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which dead letters to redrive: the named ones, or (None) all that are worth it."""

    message_ids: frozenset[str] | None


class DeadLetterDesk:
    """One look at a time: what one look has taken, another would not find.

    ``queue`` gives the dead letters of a service, ``judge`` tells what would become of some of them now.
    """

    def __init__(self, queue: Callable[[str], DeadLetters], clock: Clock, judge: Judge = judge_in_time) -> None:
        self._queue = queue
        self._clock = clock
        self._judge = judge
        self._desk = threading.Lock()

    def look(self, service: str) -> dict[str, Any]:
        """Up to `MOST_SHOWN` of them, each with its reason. Takes about a second. Raises `Unavailable`."""
        dlq = self._queue(service)
        with self._alone():
            depth = dlq.depth()
            with taken(dlq, min(depth, MOST_SHOWN), HIDE_SECONDS) as letters:
                judged = self._judge(service, letters)
        return {"deadLetters": depth, "letters": [letter_view(one) for one in judged]}

    def redrive(self, service: str, wish: Wish) -> dict[str, int]:
        """Send them back to their queue: up to `MOST_REDRIVEN`, for up to `REDRIVE_SECONDS`. Raises `Unavailable`.

        One that is sent twice has no second effect.
        """
        dlq = self._queue(service)
        with self._alone(), taken(dlq, min(dlq.depth(), MOST_REDRIVEN), HIDE_SECONDS) as letters:
            redriven = self._send(dlq, self._chosen(service, letters, wish.message_ids))
        log.info("the operator redrove %d dead letter(s) of %s: %s", len(redriven), service, ", ".join(redriven))
        return {"redriven": len(redriven), "left": dlq.depth()}

    def _chosen(
        self, service: str, letters: Sequence[DeadLetter], message_ids: Collection[str] | None
    ) -> list[DeadLetter]:
        if message_ids is not None:
            return [letter for letter in letters if letter.message.message_id in message_ids]
        return [one.letter for one in self._judge(service, letters) if one.verdict.kind.worth_a_redrive]

    def _send(self, dlq: DeadLetters, letters: Sequence[DeadLetter]) -> list[str]:
        deadline = self._clock.now_ms() + REDRIVE_SECONDS * 1000
        sent: list[str] = []
        for letter in letters:
            if self._clock.now_ms() >= deadline:
                break
            dlq.redrive(letter)
            sent.append(letter.message.message_id)
        return sent

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._desk.acquire(timeout=BUSY_SECONDS):
            raise Unavailable("another look at the dead letters takes its time")
        try:
            yield
        finally:
            self._desk.release()


def letter_view(judged: Judged) -> dict[str, Any]:
    """A dead letter and why it is there; of which order and event, if its text tells."""
    message, kind = judged.letter.message, judged.verdict.kind
    envelope = _envelope(message.body)
    return {
        "messageId": message.message_id,
        "sentAt": to_text(judged.letter.sent_at),
        "receiveCount": message.receive_count,
        "kind": kind.name.lower(),
        "reason": judged.explanation,
        "redrivable": kind.worth_a_redrive,
        "orderId": _text(envelope.get("correlationId")),
        "eventType": _text(envelope.get("eventType")),
        "body": message.body[:MOST_BODY_CHARACTERS],
    }


def _envelope(body: str) -> dict[str, Any]:
    try:
        value = jsontext.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
