"""Work that is worth doing only while somebody watches, done once for all who do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from shopflow.clock import Clock
from shopflow.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
InBackground = Callable[[Callable[[], None]], object]


def in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="ticking", daemon=True).start()


class Ticker:
    """Calls ``tick`` every ``seconds`` while at least one has joined, from one thread that ends with the last of them.

    What ``tick`` raises is logged, and the next tick comes all the same.
    """

    def __init__(self, tick: Callable[[], None], seconds: float, in_background: InBackground = in_thread) -> None:
        self._tick = tick
        self._seconds = seconds
        self._in_background = in_background
        self._joined = 0
        self._running = False
        self._lock = threading.Lock()
        self._hurry = threading.Event()

    def join(self) -> None:
        """Keep it going, from a tick that comes at once."""
        with self._lock:
            self._joined += 1
            starts = not self._running
            self._running = True
        self._hurry.set()
        if starts:
            self._in_background(self._run)

    def leave(self) -> None:
        """Take a `join` back."""
        with self._lock:
            self._joined -= 1

    def _run(self) -> None:
        while self._goes_on():
            self._hurry.clear()
            try:
                self._tick()
            except Unavailable as error:
                log.warning("those who watch wait: %s", error)
            except Exception:
                log.exception("a look failed")
            self._hurry.wait(self._seconds)

    def _goes_on(self) -> bool:
        with self._lock:
            self._running = self._joined > 0
            return self._running


class Held(Generic[T]):
    """What ``look`` finds, shared by all who ask within ``hold_ms``. One looks at a time, the others wait for it."""

    def __init__(self, look: Callable[[], T], clock: Clock, hold_ms: int) -> None:
        self._look = look
        self._clock = clock
        self._hold_ms = hold_ms
        self._found: tuple[int, T] | None = None
        self._lock = threading.Lock()

    def get(self) -> T:
        """Raises what ``look`` raises; that is not held."""
        with self._lock:
            now = self._clock.now_ms()
            if self._found is None or not 0 <= now - self._found[0] < self._hold_ms:
                self._found = (now, self._look())
            return self._found[1]
