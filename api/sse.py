"""Server-Sent Events, as the streams send them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shopflow import jsontext

HEARTBEAT_MS = 15_000
HEARTBEAT = b": still here\n\n"
WAIT_SECONDS = 0.5
"""Between looks whether the client is still there."""

Message = dict[str, Any]
HungUp = Callable[[float], bool]


def encode(message: Message) -> bytes:
    return f"data: {jsontext.dumps(message)}\n\n".encode()


class Pulse:
    """Tells when a silent stream has to show that it lives. All times in milliseconds."""

    def __init__(self, now: int) -> None:
        self._last = now

    def spoke(self, now: int) -> None:
        self._last = now

    def is_due(self, now: int) -> bool:
        """Whether nothing was said for so long. Then it counts as said now."""
        if now - self._last < HEARTBEAT_MS:
            return False
        self._last = now
        return True
