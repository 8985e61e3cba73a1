"""Dead letters on the operator's page: why each is there, and redriving or purging them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from shopflow import jsontext
from shopflow.clock import Clock
from shopflow.domain.times import to_text
from shopflow.errors import InvalidRequest, Unavailable
from shopflow.ports import DeadLetter, DeadLetters
from workers.dead_letters import Survey, Walk, best_first
from workers.dry_run import Judge, Judged, Kind

log = logging.getLogger(__name__)

MAX_SHOWN = 100
MAX_REDRIVEN = 100
MAX_ID_CHARACTERS = 100
MAX_BODY_CHARACTERS = 8000
LOOK_SECONDS = 5
"""How long a request goes through the queue; its answer says how far it came. Making the letters visible again takes
about as long."""
HIDE_SECONDS = 120
"""How long the letters of a request stay hidden if this process dies meanwhile."""
BUSY_SECONDS = 2
"""How long to wait for another request. Even so, the answer comes before the page gives up (15 s)."""
BATCH = 25
"""Letters between two checks of the time."""


def ids_to_redrive(body: Any) -> frozenset[str] | None:
    """The letters that the body of a redrive names; None: all that would succeed. Raises `InvalidRequest`."""
    if body == {"all": True} and body["all"] is True:
        return None
    ids = body.get("messageIds") if isinstance(body, dict) and len(body) == 1 else None
    if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_REDRIVEN or not all(map(_is_id, ids)):
        raise InvalidRequest(f'body: must be {{"messageIds": ["…"]}}, of up to {MAX_REDRIVEN}, or {{"all": true}}')
    return frozenset(ids)


def check_purge_request(body: Any) -> None:
    """Raises `InvalidRequest` unless the body says exactly what a purge deletes."""
    if body != {"wouldFail": True} or body["wouldFail"] is not True:
        raise InvalidRequest('body: must be {"wouldFail": true}')


class DeadLetterDesk:
    """Handles one request at a time, because a request hides the letters that it looks at.

    Each request goes through as much of the queue as `LOOK_SECONDS` allow. Its answer says in ``lookedAt`` how many
    letters that were, and in ``more`` whether it stopped early. ``queue`` returns the dead letters of a service,
    ``judge`` says what would become of them now. Every method raises `Unavailable`.
    """

    def __init__(self, queue: Callable[[str], DeadLetters], clock: Clock, judge: Judge) -> None:
        self._queue = queue
        self._clock = clock
        self._judge = judge
        self._busy = threading.Lock()

    def look(self, service: str) -> dict[str, Any]:
        """How many dead letters there are, their reasons, and `MAX_SHOWN` of them, those that would succeed first."""
        survey, shown = Survey(), list[Judged]()
        with self._visit(service) as visit:
            for letters in visit.batches():
                judged = self._judge(service, letters)
                survey.add(judged)
                shown = best_first([*shown, *judged], MAX_SHOWN)
        return {
            **visit.progress(),
            "deadLetters": max(visit.walk.depth, visit.walk.seen),
            "wouldSucceed": survey.would_succeed,
            "wouldFail": survey.would_fail,
            "reasons": [_reason_view(one.kind, one.reason) | {"count": one.count} for one in survey.groups],
            "letters": [_letter_view(one) for one in shown],
        }

    def redrive(self, service: str, message_ids: Collection[str] | None) -> dict[str, Any]:
        """Send letters back to their queue: those with ``message_ids``, or up to `MAX_REDRIVEN` that would succeed.

        Sending one twice has no second effect.
        """
        redriven: list[str] = []
        sent: set[str] = set()  # their new ids: a letter that comes back at once is not sent in circles
        with self._visit(service) as visit:
            for letter in self._chosen(service, visit, message_ids):
                if len(redriven) == MAX_REDRIVEN or visit.out_of_time:
                    visit.stopped = True
                    break
                if letter.message.message_id in sent:
                    continue
                sent.add(visit.dlq.redrive(letter))
                visit.walk.took([letter])
                redriven.append(letter.message.message_id)
                if len(redriven) == len(message_ids or ()):
                    break
            left = visit.dlq.depth()
        log.info("the operator redrove %d dead letter(s) of %s: %s", len(redriven), service, ", ".join(redriven))
        return {"redriven": len(redriven), "left": left, **visit.progress()}

    def purge(self, service: str) -> dict[str, Any]:
        """Delete for good the letters that would fail now, whatever an earlier request has shown."""
        purged = 0
        with self._visit(service) as visit:
            for letters in visit.batches():
                failing = [one for one in self._judge(service, letters) if one.kind.would_fail]
                traces = ", ".join(f"{one.message_id} ({one.reason})" for one in failing)
                log.info("the operator purges %d dead letter(s) of %s: %s", len(failing), service, traces)
                purged += visit.dlq.delete([one.letter for one in failing])
                visit.walk.took([one.letter for one in failing])
            left = visit.dlq.depth()
        return {"purged": purged, "left": left, **visit.progress()}

    def _chosen(self, service: str, visit: Visit, message_ids: Collection[str] | None) -> Iterator[DeadLetter]:
        for letters in visit.batches():
            if message_ids is not None:
                yield from (letter for letter in letters if letter.message.message_id in message_ids)
            else:
                yield from (one.letter for one in self._judge(service, letters) if one.kind.would_succeed)

    @contextmanager
    def _visit(self, service: str) -> Iterator[Visit]:
        dlq = self._queue(service)
        if not self._busy.acquire(timeout=BUSY_SECONDS):
            raise Unavailable("another request is looking at the dead letters")
        try:
            with Walk(dlq, self._clock, HIDE_SECONDS) as walk:
                yield Visit(dlq, walk, self._clock)
        finally:
            self._busy.release()


class Visit:
    """One request's walk through a dead-letter queue. ``stopped``: it ended before it had done everything."""

    def __init__(self, dlq: DeadLetters, walk: Walk, clock: Clock) -> None:
        self.dlq = dlq
        self.walk = walk
        self.stopped = False
        self._clock = clock
        self._ends_at = clock.now_ms() + LOOK_SECONDS * 1000

    @property
    def out_of_time(self) -> bool:
        return self._clock.now_ms() >= self._ends_at

    def batches(self) -> Iterator[list[DeadLetter]]:
        for letters in self.walk.batches(BATCH):
            yield letters
            if self.out_of_time and not self.walk.ended:
                self.stopped = True
                return

    def progress(self) -> dict[str, Any]:
        return {"lookedAt": self.walk.seen, "more": self.stopped}


def _reason_view(kind: Kind, reason: str) -> dict[str, Any]:
    return {"kind": kind.name.lower(), "reason": reason, "redrivable": kind.would_succeed}


def _letter_view(judged: Judged) -> dict[str, Any]:
    """A dead letter, why it is there, and its order and event if its text names them."""
    message = judged.letter.message
    try:
        envelope = jsontext.loads(message.body)
    except ValueError:
        envelope = None
    named = envelope if isinstance(envelope, dict) else {}
    order_id, event_type = named.get("correlationId"), named.get("eventType")
    return {
        "messageId": message.message_id,
        "sentAt": to_text(judged.letter.sent_at),
        "receiveCount": message.receive_count,
        **_reason_view(judged.kind, judged.explanation),
        "orderId": order_id if isinstance(order_id, str) else None,
        "eventType": event_type if isinstance(event_type, str) else None,
        "body": message.body[:MAX_BODY_CHARACTERS],
    }


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_ID_CHARACTERS
