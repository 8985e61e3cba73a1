"""Waiting for a condition, never for a time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_SECONDS = 60
T = TypeVar("T")


def eventually(look: Callable[[], T], enough: Callable[[T], bool] = bool, seconds: float = PATIENCE_SECONDS) -> T:
    """What ``look`` returns once ``enough`` is true of it. Fails after ``seconds``, with what it returned last."""
    deadline = time.monotonic() + seconds
    for pause in itertools.chain((0.02, 0.05), itertools.repeat(0.1)):
        seen = look()
        if enough(seen):
            return seen
        assert time.monotonic() < deadline, f"after {seconds} s still: {seen}"
        time.sleep(pause)  # between two looks: this is what tests use instead of sleeping
    raise AssertionError("unreachable")
