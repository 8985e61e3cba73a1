"""Deferred messages: kept hidden in their queue, and tried again by the consumer that received them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shopflow.domain.event import Event
from shopflow.messaging.retry import Backoff
from shopflow.ports import MAX_BATCH_ENTRIES, Message, Queue

log = logging.getLogger(__name__)

MAX_DEFERRED = 100
"""Messages deferred at a time. Beyond that, those with the most tries are nacked."""
OUTAGE = Backoff(first_seconds=120, factor=30, most_seconds=3600)
"""How long a message stays hidden when it is nacked because too many are deferred. Three receives take over an hour."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message with the event that it carries."""

    message: Message
    event: Event


@dataclass(frozen=True, slots=True)
class Deferred:
    """A delivery, how often it was tried, when the next try is ``due``, and ``until`` when it is hidden (seconds)."""

    delivery: Delivery
    tries: int
    due: float
    until: float


class DeferredMessages:
    """The deferred messages of one consumer of ``queue``, each with a retry schedule of its own.

    ``visibility_seconds``: how long a message is hidden at a time. ``retry``: the delays between the tries of a
    message. ``now``: seconds of a clock that never goes back.
    """

    def __init__(self, queue: Queue, visibility_seconds: float, retry: Backoff, now: Callable[[], float]) -> None:
        self._queue = queue
        self._visibility_seconds = visibility_seconds
        self._retry = retry
        self._now = now
        self._deferred: list[Deferred] = []
        self._rest_until = 0.0

    def __len__(self) -> int:
        return len(self._deferred)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another batch."""
        return len(self._deferred) > MAX_DEFERRED - MAX_BATCH_ENTRIES

    def add(self, deliveries: Sequence[Delivery], received_at: float) -> None:
        """Defer ``deliveries``, received at that time. Their next try is soon."""
        until = received_at + self._visibility_seconds
        self._keep([self._scheduled(Deferred(one, 0, 0.0, until)) for one in deliveries])

    def due(self) -> list[Deferred]:
        """At most one batch of those to try now, the longest due first; none during a `rest`."""
        now = self._now()
        if now < self._rest_until:
            return []
        due = [one for one in self._deferred if one.due <= now]
        return sorted(due, key=lambda one: one.due)[:MAX_BATCH_ENTRIES]

    def rest(self, seconds: float) -> None:
        """Let none be due for ``seconds``."""
        self._rest_until = self._now() + seconds

    @property
    def seconds_to_next(self) -> float:
        """The seconds until one is due; infinite when there is none."""
        next_due = min((one.due for one in self._deferred), default=math.inf)
        return max(0.0, max(next_due, self._rest_until) - self._now())

    def take(self, batch: Sequence[Deferred]) -> list[Delivery]:
        """Remove ``batch`` for a try. Call `defer_again` for those that stay unavailable."""
        self._deferred = [one for one in self._deferred if one not in batch]
        return [one.delivery for one in batch]

    def defer_again(self, batch: Sequence[Deferred]) -> None:
        """Keep ``batch`` for one more try, after a longer delay than the last."""
        self._keep([self._scheduled(one) for one in batch])

    def keep_hidden(self) -> None:
        """Extend the visibility timeout of those whose time is half over.

        A message that has become visible is dropped here: it will be received again.
        """
        now = self._now()
        ending = [one for one in self._deferred if one.until <= now + self._visibility_seconds / 2]
        for batch in _batches(ending):
            hidden = self._hide(batch, now)
            self._deferred = [one for one in self._deferred if one not in batch] + hidden

    def nack_all(self, delay: Callable[[int], float]) -> None:
        """Make all of them visible again, each after ``delay(receive count)`` seconds."""
        self._nack(self._deferred, delay)
        self._deferred = []

    def _hide(self, batch: Sequence[Deferred], now: float) -> list[Deferred]:
        try:
            lost = self._queue.change_visibility(dict.fromkeys(_messages(batch), round(self._visibility_seconds)))
        except Exception as error:
            log.warning("deferred messages cannot be hidden: %s", error)
            return [one for one in batch if one.until > now]
        until = now + self._visibility_seconds
        return [replace(one, until=until) for one in batch if one.delivery.message not in lost]

    def _scheduled(self, one: Deferred) -> Deferred:
        return replace(one, tries=one.tries + 1, due=self._now() + self._retry.delay(one.tries + 1))

    def _keep(self, more: Sequence[Deferred]) -> None:
        deferred = sorted([*self._deferred, *more], key=lambda one: one.tries)
        self._deferred = deferred[:MAX_DEFERRED]
        self._nack(deferred[MAX_DEFERRED:], OUTAGE.delay)

    def _nack(self, deferred: Sequence[Deferred], delay: Callable[[int], float]) -> None:
        for batch in _batches(deferred):
            nack(self._queue, {message: round(delay(message.receive_count)) for message in _messages(batch)})


def nack(queue: Queue, seconds: Mapping[Message, int]) -> None:
    """Make up to ten messages visible again, each after its number of seconds. Never raises."""
    if not seconds:
        return
    try:
        queue.change_visibility(seconds)
    except Exception as error:
        log.warning("messages become visible only after their visibility timeout: %s", error)


def _batches(deferred: Sequence[Deferred]) -> Iterator[Sequence[Deferred]]:
    return (deferred[start : start + MAX_BATCH_ENTRIES] for start in range(0, len(deferred), MAX_BATCH_ENTRIES))


def _messages(deferred: Sequence[Deferred]) -> list[Message]:
    return [one.delivery.message for one in deferred]
