"""Time and event ids. Both are injected, so that a test can choose them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol

from ulid import ULID

from shopflow.domain.event import Event
from shopflow.domain.order import EventHeader, EventType
from shopflow.domain.times import after_cause


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class HeaderFactory:
    """Makes the headers of new events. ``random_bytes(n)`` returns n bytes that never repeat."""

    def __init__(self, clock: Clock, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random_bytes = random_bytes

    def new(self, event_type: EventType, cause: Event | None = None, trace_parent: str | None = None) -> EventHeader:
        """The header of an event caused by ``cause``. Its timestamp (and so its ULID) is later than the cause's.

        It belongs to the trace of its cause; without a cause, to the trace ``trace_parent``.
        """
        time_ms = after_cause(self._clock.now_ms(), cause.time_ms if cause else None)
        event_id = str(ULID.from_bytes(time_ms.to_bytes(6, "big") + self._random_bytes(10)))
        if cause is None:
            return EventHeader(event_id, event_type, time_ms, None, trace_parent)
        return EventHeader(event_id, event_type, time_ms, cause.event_id, cause.trace_parent)
