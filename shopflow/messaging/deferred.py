"""Messages that wait in a consumer for their next try, hidden from other consumers meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from shopflow.domain.event import Event
from shopflow.messaging.retry import Backoff
from shopflow.ports import MAX_BATCH_ENTRIES, Message, Queue

log = logging.getLogger(__name__)

MAX_DEFERRED = 100
"""Messages held at a time. When there are more, those with the most tries are returned to the queue."""
OUTAGE = Backoff(first_seconds=120, factor=30, most_seconds=3600)
"""How long a message stays hidden that is returned because too many are held. Three receives then take over an hour."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message with the event that it carries."""

    message: Message
    event: Event


@dataclass(frozen=True, slots=True)
class Deferred:
    """A delivery with its number of tries, when the next is ``due``, and ``until`` when it is hidden (seconds)."""

    delivery: Delivery
    tries: int
    due: float
    until: float


class DeferredMessages:
    """The held messages of one consumer of ``queue``, each with a schedule of its own.

    ``visibility_seconds``: for how long a message is hidden at a time. ``probe``: the delays between its tries.
    ``now``: seconds of a clock that never goes back.
    """

    def __init__(self, queue: Queue, visibility_seconds: float, probe: Backoff, now: Callable[[], float]) -> None:
        self._queue = queue
        self._visibility_seconds = visibility_seconds
        self._probe = probe
        self._now = now
        self._deferred: list[Deferred] = []

    def __len__(self) -> int:
        return len(self._deferred)

    def add(self, deliveries: Sequence[Delivery], received_at: float) -> None:
        """Hold fresh ``deliveries``, received at that time: their next try is soon."""
        until = received_at + self._visibility_seconds
        self._keep([self._tried(Deferred(one, 0, 0.0, until)) for one in deliveries])

    @property
    def is_full(self) -> bool:
        """Whether another batch would have to displace what is held."""
        return len(self._deferred) > MAX_DEFERRED - MAX_BATCH_ENTRIES

    def due(self) -> list[Deferred]:
        """At most one batch of those to try now, the longest due first."""
        now = self._now()
        return sorted((one for one in self._deferred if one.due <= now), key=lambda one: one.due)[:MAX_BATCH_ENTRIES]

    def next_due(self) -> float | None:
        """When the next one is to be tried; None when nothing is held."""
        return min((one.due for one in self._deferred), default=None)

    def take(self, batch: Sequence[Deferred]) -> list[Delivery]:
        """Hand over ``batch`` for a try. What stays unavailable comes back by `defer_again`."""
        self._deferred = [one for one in self._deferred if one not in batch]
        return [one.delivery for one in batch]

    def defer_again(self, batch: Sequence[Deferred]) -> None:
        """Hold ``batch`` for one more try, later than the last time."""
        self._keep([self._tried(one) for one in batch])

    def keep_hidden(self) -> None:
        """Hide anew those whose time is half over. One that is visible again is dropped: it is received again."""
        now = self._now()
        ending = [one for one in self._deferred if one.until <= now + self._visibility_seconds / 2]
        for batch in _batches(ending):
            hidden = self._hide(batch, now)
            self._deferred = [one for one in self._deferred if one not in batch] + hidden

    def _hide(self, batch: Sequence[Deferred], now: float) -> list[Deferred]:
        try:
            lost = self._queue.change_visibility(dict.fromkeys(_messages(batch), round(self._visibility_seconds)))
        except Exception as error:
            log.warning("held messages cannot be hidden: %s", error)
            return [one for one in batch if one.until > now]
        until = now + self._visibility_seconds
        return [replace(one, until=until) for one in batch if one.delivery.message not in lost]

    def return_all(self, delay: Callable[[int], float]) -> None:
        """Return all of them to the queue, visible after ``delay(receive count)`` seconds each."""
        self._return(self._deferred, delay)
        self._deferred = []

    def _tried(self, one: Deferred) -> Deferred:
        return replace(one, tries=one.tries + 1, due=self._now() + self._probe.delay(one.tries + 1))

    def _keep(self, more: Sequence[Deferred]) -> None:
        deferred = sorted([*self._deferred, *more], key=lambda one: one.tries)
        self._deferred = deferred[:MAX_DEFERRED]
        self._return(deferred[MAX_DEFERRED:], OUTAGE.delay)

    def _return(self, deferred: Sequence[Deferred], delay: Callable[[int], float]) -> None:
        for batch in _batches(deferred):
            seconds = {message: round(delay(message.receive_count)) for message in _messages(batch)}
            try:
                self._queue.change_visibility(seconds)
            except Exception as error:
                log.warning("messages come again only after their visibility timeout: %s", error)


def _batches(deferred: Sequence[Deferred]) -> Iterator[Sequence[Deferred]]:
    return (deferred[start : start + MAX_BATCH_ENTRIES] for start in range(0, len(deferred), MAX_BATCH_ENTRIES))


def _messages(deferred: Sequence[Deferred]) -> list[Message]:
    return [one.delivery.message for one in deferred]
