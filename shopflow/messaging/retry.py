"""Delays between retries. A delay is a returned number of seconds, never a sleep."""

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
