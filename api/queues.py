"""How much waits in each queue, looked up once for all who watch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from api.ticking import Held, InBackground, Ticker, in_thread
from shopflow.clock import Clock
from shopflow.ports import Backlog, Backlogs

LOOK_SECONDS = 1.0
HOLD_MS = 800
"""Shorter than the time between two looks of `QueueWatch`, so that each of them is a new one."""

ByService = Mapping[str, Backlog]
Listener = Callable[[ByService], None]


def recent_backlogs(backlogs: Backlogs, services: Sequence[str], clock: Clock) -> Held[ByService]:
    """The backlogs of ``services`` as they were a moment ago."""
    return Held(lambda: {service: backlogs.of(service) for service in services}, clock, HOLD_MS)


class QueueWatch:
    """Tells the backlogs once a second, while somebody listens. Thread-safe."""

    def __init__(self, backlogs: Held[ByService], in_background: InBackground = in_thread) -> None:
        self._backlogs = backlogs
        self._ticker = Ticker(self.tick, LOOK_SECONDS, in_background)
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` of every look until `unlisten`, of the first one at once."""
        with self._lock:
            self._listeners.add(listener)
        self._ticker.join()

    def unlisten(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.remove(listener)
        self._ticker.leave()

    def tick(self) -> None:
        """One look. Raises `Unavailable`."""
        found = self._backlogs.get()
        with self._lock:
            listeners = list(self._listeners)
        for tell in listeners:
            tell(found)
