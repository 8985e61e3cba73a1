"""Starts again what crashed, waiting longer the oftener it does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from scripts.console import MISUSED, OK
from scripts.services import Services

BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Before the first restart, the second, …; the last one from then on."""
STEADY_SECONDS = 30.0
"""A process that ran this long has recovered: its next crash counts as the first."""
POLL_SECONDS = 0.1


def watch(
    services: Services,
    stop: threading.Event,
    say: Callable[[str, str, int], None],
    back_off_seconds: Sequence[float] = BACK_OFF_SECONDS,
) -> int:
    """Keep ``services`` running until ``stop`` is set, and return 0.

    Returns `MISUSED` as soon as one ends with that code: its settings are wrong, and starting it again will not help.
    ``say(label, text, level)`` is told of every end and every restart.
    """
    crashes: dict[str, int] = {}
    due: dict[str, float] = {}
    while not stop.wait(POLL_SECONDS):
        for ended in services.ended():
            if ended.exit_code == MISUSED:
                say(ended.label, "has a wrong setting: stopping all", logging.ERROR)
                return MISUSED
            crashes[ended.label] = next_count(crashes.get(ended.label, 0), ended.ran_seconds)
            seconds = delay(crashes[ended.label], back_off_seconds)
            say(ended.label, f"{ended.cause}; starting again in {seconds:g} s", logging.ERROR)
            due[ended.label] = time.monotonic() + seconds
        for label in [label for label, at in due.items() if at <= time.monotonic()]:
            del due[label]
            services.start(label)
            say(label, "started again", logging.WARNING)
    return OK


def next_count(crashes: int, ran_seconds: float) -> int:
    """How many crashes in a row this one makes."""
    return 1 if ran_seconds >= STEADY_SECONDS else crashes + 1


def delay(crashes: int, back_off_seconds: Sequence[float]) -> float:
    """Seconds to wait after the ``crashes``-th crash in a row (from 1)."""
    return back_off_seconds[min(crashes, len(back_off_seconds)) - 1]
