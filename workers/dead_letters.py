"""Go through a whole dead-letter queue, and count what is in it by reason: for operators, not for the services."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from shopflow.clock import Clock
from shopflow.ports import MAX_BATCH_ENTRIES, MAX_VISIBILITY_SECONDS, DeadLetter, DeadLetters
from workers.dry_run import Judged, Kind

log = logging.getLogger(__name__)

MIN_HIDE_SECONDS = 120
"""If this process is killed, its letters are visible again after at least this time."""
SLOWEST_PER_SECOND = 50
"""Letters stay hidden for as long as a walk at this pace takes. A slower walk receives some of them again."""
WAIT_SECONDS = 1
"""How long to wait for another letter before the queue counts as finished. Not 0: only a long poll asks every server of
SQS."""
BATCH = 100
"""Letters in memory with their bodies at one time: 25 MB at most."""
MAX_HIDDEN = 100_000
"""SQS allows about 120,000 messages of a queue in flight. They take about 70 MB here."""
SHOW_EVERY_MS = 1000
MAX_REASONS = 200
"""Reasons counted apart in one queue. Letters with yet another reason are counted by their kind alone."""


class Walk:
    """One pass through a dead-letter queue, in a ``with`` block.

    Each letter stays hidden until the block ends, so the queue delivers the next ones and each letter comes once. Then
    all become visible again, except those that were passed to `took`. If that fails, they become visible by themselves
    after ``hide_seconds``. Only ids and receipt handles are kept.

    ``hide_seconds``: up to 43,200; None: by the depth of the queue. ``show`` gets the progress as text, once a second.
    ``depth``: approximate number of letters at the start; ``seen``: letters received so far; ``ended``: the queue had
    no more. A walk stops early when `MAX_HIDDEN` letters are hidden. Every method may raise `Unavailable`.
    """

    def __init__(
        self,
        dlq: DeadLetters,
        clock: Clock,
        hide_seconds: int | None = None,
        show: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._dlq = dlq
        self._clock = clock
        self._show = show
        self._shown_at = clock.now_ms()
        self._hidden: dict[str, DeadLetter] = {}
        self.depth = dlq.depth()
        by_depth = min(MIN_HIDE_SECONDS + self.depth // SLOWEST_PER_SECOND, MAX_VISIBILITY_SECONDS)
        self.hide_seconds = hide_seconds or by_depth
        self.seen = 0
        self.ended = False

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *_: object) -> None:
        while letters := list(islice(self._hidden.values(), BATCH)):
            self._report(f"making {len(self._hidden):,} visible again")
            try:
                self._dlq.hide(letters, 0)
            except Exception as error:
                text = "%d dead letters become visible again only by themselves, within %d s: %s"
                log.warning(text, len(self._hidden), self.hide_seconds, error)
                return
            self.took(letters)

    @property
    def total(self) -> int:
        """About how many letters the queue has."""
        return max(self.depth, self.seen)

    def batches(self, size: int = BATCH) -> Iterator[list[DeadLetter]]:
        """The letters that this walk has not seen yet, about ``size`` at a time, until the queue has no more."""
        batch: list[DeadLetter] = []
        while len(self._hidden) < MAX_HIDDEN:
            wait = WAIT_SECONDS if self.seen < self.depth else 0
            received = self._dlq.receive(MAX_BATCH_ENTRIES, self.hide_seconds, wait)
            if not received:
                self.ended = True
                break
            new = [letter for letter in received if letter.message.message_id not in self._hidden]
            self.seen += len(new)
            for letter in received:
                message = replace(letter.message, body="")  # what a call needs, so that a large queue fits in memory
                self._hidden[message.message_id] = replace(letter, message=message, attributes={})
            self._report(f"{self.seen:,} of about {self.total:,} checked")
            batch += new
            if len(batch) >= size:
                yield batch
                batch = []
        if batch:
            yield batch

    def took(self, letters: Sequence[DeadLetter]) -> None:
        """Forget ``letters``: they were deleted from the queue."""
        for letter in letters:
            self._hidden.pop(letter.message.message_id, None)

    def _report(self, text: str) -> None:
        if self._clock.now_ms() - self._shown_at >= SHOW_EVERY_MS:
            self._shown_at = self._clock.now_ms()
            self._show(text)


@dataclass(slots=True)
class Group:
    """The dead letters with one reason. ``oldest``: when the oldest one was first sent (ms)."""

    kind: Kind
    reason: str
    count: int
    oldest: int


class Survey:
    """Counts of dead letters by reason. Its size does not depend on the number of letters."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self.looked_at = self.would_succeed = self.would_fail = 0

    def add(self, judged: Iterable[Judged]) -> None:
        for one in judged:
            reason = one.reason
            if reason not in self._groups and len(self._groups) >= MAX_REASONS:
                reason = f"{one.kind}: for another reason"
            group = self._groups.setdefault(reason, Group(one.kind, reason, 0, one.letter.sent_at))
            group.count += 1
            group.oldest = min(group.oldest, one.letter.sent_at)
            self.looked_at += 1
            self.would_succeed += one.kind.would_succeed
            self.would_fail += one.kind.would_fail

    @property
    def groups(self) -> list[Group]:
        """By kind, those that would succeed first. Within a kind the most frequent reason is first."""
        return sorted(self._groups.values(), key=lambda group: (group.kind.rank, -group.count, group.reason))


def best_first(judged: Iterable[Judged], most: int) -> list[Judged]:
    """The first ``most`` of ``judged``, sorted so that those that would succeed come first."""
    return sorted(judged, key=lambda one: one.kind.rank)[:most]
