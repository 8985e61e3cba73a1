"""Clocks that only a test advances."""

from __future__ import annotations


class ManualClock:
    """`shopflow.clock.Clock`. ``now`` is in milliseconds."""

    def __init__(self, now: int = 1_769_860_800_000) -> None:
        self.now = now

    def now_ms(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


class SkewedClock:
    """``clock`` with that many milliseconds added (negative: it is behind)."""

    def __init__(self, clock: ManualClock, ahead_ms: int) -> None:
        self._clock = clock
        self._ahead_ms = ahead_ms

    def now_ms(self) -> int:
        return self._clock.now_ms() + self._ahead_ms
