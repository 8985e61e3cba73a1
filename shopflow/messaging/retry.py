"""When to try again: delays that grow, and the pause of a consumer. Nothing here sleeps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing delays with jitter: ``first_seconds`` times ``factor`` for each attempt, up to ``most_seconds``.

    Each delay is random between half and all of that ("equal jitter": AWS Architecture Blog, "Exponential Backoff And
    Jitter").
    """

    first_seconds: float
    factor: float
    most_seconds: float
    rand: Callable[[], float] = random.random

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the ``attempt``-th failure (1 is the first)."""
        full = min(self.most_seconds, self.first_seconds * self.factor ** (min(attempt, 64) - 1))
        return full * (0.5 + self.rand() / 2)


class Pause:
    """The pause in receiving while a dependency is down: a circuit breaker, which the first answer closes.

    Each fresh batch that is unavailable as a whole starts a longer pause.
    ``short``: the pauses while more messages can be deferred. ``long``: those while no more can be. ``now``: seconds
    of a clock that never goes back. ``count``: the pauses since the dependency's last answer.
    """

    def __init__(self, short: Backoff, long: Backoff, now: Callable[[], float]) -> None:
        self._short = short
        self._long = long
        self._now = now
        self.count = self._long_count = 0
        self._until = 0.0

    def end(self) -> None:
        """The dependency answers: receive at once, and begin with a short pause next time."""
        self.count = self._long_count = 0
        self._until = 0.0

    def start(self, full: bool) -> None:
        """A whole fresh batch was unavailable. ``full``: no more messages can be deferred."""
        self.count += 1
        self._long_count += full
        self._until = self._now() + (self._long.delay(self._long_count) if full else self._short.delay(self.count))

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._until - self._now())
