"""A way through a whole dead-letter queue: for operators, not for the services."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from types import TracebackType

from shopflow.clock import Clock
from shopflow.ports import MAX_BATCH_ENTRIES, MAX_VISIBILITY_SECONDS, DeadLetter, DeadLetters

log = logging.getLogger(__name__)

HIDE_SECONDS = 120
"""How long a letter stays hidden, at least, if we die before giving it back."""
SLOWEST_PER_SECOND = 50
"""A letter is hidden for as long as a walk at that pace takes. A slower walk renews that, in one call for ten."""
WAIT_SECONDS = 1
"""How long to wait for the next letter before the queue counts as passed: a long poll asks every server of SQS."""
BATCH = 100
"""Letters with their bodies in memory at a time: 25 MB at worst."""
MAX_HELD = 100_000
"""SQS has at most about 120,000 messages of a queue in flight. About 70 MB here."""
SHOW_EVERY_MS = 1000


class Walk:
    """One way through a dead-letter queue, in a ``with`` block.

    What is received stays hidden until the end of the block, so that the queue shows what is behind it, and each letter
    is met once. Only ids and receipt handles are kept. At the end all that was not taken (`took`) is given back,
    whatever ended it; what cannot be given back comes back by itself after ``hide_seconds``.

    ``hide_seconds``: None is as long as the queue is deep. ``show``: told how far it is, once a second.
    Every method may raise `Unavailable`. ``depth``: about how many there were at first; ``seen``: how many were met;
    ``ended``: whether all were. It ends early when `MAX_HELD` are held.
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
        self._held: dict[str, tuple[DeadLetter, int]] = {}  # until when each is hidden (ms), the earliest first
        self.depth = dlq.depth()
        as_deep = min(HIDE_SECONDS + self.depth // SLOWEST_PER_SECOND, MAX_VISIBILITY_SECONDS)
        self.hide_seconds = hide_seconds or as_deep
        self.seen = 0
        self.ended = False

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            self._give_back()
        except KeyboardInterrupt:
            if kind is not KeyboardInterrupt:  # the first: it ends the command, but not this. A second one does.
                self._give_back()
            raise

    def batches(self, size: int = BATCH) -> Iterator[list[DeadLetter]]:
        """The letters that this walk has not met yet, about ``size`` at a time, until the queue shows no more."""
        batch: list[DeadLetter] = []
        while len(self._held) < MAX_HELD:
            self.renew()
            wait = WAIT_SECONDS if self.seen < self.depth else 0
            received = self._dlq.receive(MAX_BATCH_ENTRIES, self.hide_seconds, wait)
            if not received:
                self.ended = True
                break
            batch += self._meet(received)
            if len(batch) >= size:
                yield batch
                batch = []
        if batch:
            yield batch

    def took(self, letters: Sequence[DeadLetter]) -> None:
        """They are gone from the queue: nothing of them is to be given back."""
        for letter in letters:
            self._held.pop(letter.message.message_id, None)

    def _meet(self, received: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Hold what was received. Returns what is new: a letter whose time has run out comes a second time."""
        new = [letter for letter in received if letter.message.message_id not in self._held]
        self.seen += len(new)
        self._hold(map(without_body, received))
        self._tell(f"{self.seen:,} of about {max(self.seen, self.depth):,} looked at")
        return new

    def _hold(self, letters: Iterator[DeadLetter]) -> None:
        until = self._clock.now_ms() + self.hide_seconds * 1000
        for letter in letters:
            self._held.pop(letter.message.message_id, None)
            self._held[letter.message.message_id] = (letter, until)

    def renew(self) -> None:
        """Hide those again whose time is half over. `batches` does; so should who holds them for long without."""
        soon = self._clock.now_ms() + self.hide_seconds * 500
        while due := [one for one, _ in takewhile(lambda held: held[1] <= soon, self._first(MAX_BATCH_ENTRIES))]:
            self._dlq.hide(due, self.hide_seconds)
            self._hold(iter(due))

    def _give_back(self) -> None:
        while held := [letter for letter, _ in self._first(BATCH)]:
            self._tell(f"giving {len(self._held):,} back")
            try:
                self._dlq.hide(held, 0)
            except Exception as error:
                many, seconds = len(self._held), self.hide_seconds
                log.warning("%d dead letters come back only by themselves, within %d s: %s", many, seconds, error)
                return
            self.took(held)

    def _tell(self, text: str) -> None:
        if self._clock.now_ms() - self._shown_at >= SHOW_EVERY_MS:
            self._shown_at = self._clock.now_ms()
            self._show(text)

    def _first(self, most: int) -> Iterator[tuple[DeadLetter, int]]:
        return islice(self._held.values(), most)


def without_body(letter: DeadLetter) -> DeadLetter:
    """What it takes to hide or delete it: a queue of any size can be held."""
    return replace(letter, message=replace(letter.message, body=""), attributes={})
