"""Which open orders a sweep of the relay looks at, and which events it takes for lost. All times in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from shopflow.domain.order import Order
from shopflow.ports import DLQ_RETENTION_SECONDS

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_FIRST_LOOKS_MS = (30_000, *(minutes * _MINUTE_MS for minutes in (1, 2, 4, 8, 16, 32, 60)))
FIRST_LOOK_SECONDS = _FIRST_LOOKS_MS[0] // 1000
_RETENTION_MS = DLQ_RETENTION_SECONDS * 1000
_MAX_CLOCK_SKEW_MS = 24 * _HOUR_MS
"""A time that is further in the future was written by a wrong clock."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep, at ``now``. ``last``: when the sweep before it was; None when the relay has just started."""

    last: int | None
    now: int

    def is_due(self, opened_at: int) -> bool:
        """Whether the order's age crossed one of 30 s, 1, 2, 4 … 60 min, or a later full hour, since the last sweep.

        Without a last sweep every order of 30 s is due. An order from the future, opened by a wrong clock, is due once
        an hour.
        """
        if opened_at > self.now:
            return self.last is None or _hourly_look(opened_at, self.now) > _hourly_look(opened_at, self.last)
        earlier = self.last - opened_at if self.last is not None else 0
        return _looks_by(self.now - opened_at) > _looks_by(earlier)

    def copies_have_expired(self, order: Order) -> bool:
        """Whether SQS deleted every copy of the order's last event between the looks by the last sweep and by this one.

        No queue keeps a message longer than 14 days after it was first sent. An event that is published again gets
        another 14 days. So this is true at one look in 14 days, and at the first sweep of a relay.
        """
        if order.opened_at is None:
            return False
        # A time in the future has no age: use the earlier time instead or, if that is in the future too, 1970.
        times = (order.updated_at, order.opened_at)
        published_at = next((time for time in times if time <= self.now + _MAX_CLOCK_SKEW_MS), None)
        if self.last is None:
            return published_at is not None and self.now - published_at >= _RETENTION_MS
        age, earlier_age = (_hourly_look(order.opened_at, time) - (published_at or 0) for time in (self.now, self.last))
        return age // _RETENTION_MS > max(0, earlier_age) // _RETENTION_MS


def _looks_by(age_ms: int) -> int:
    """How many looks an order of that age should have had."""
    return sum(age_ms >= look for look in _FIRST_LOOKS_MS) + max(0, age_ms // _HOUR_MS - 1)


def _hourly_look(opened_at: int, time: int) -> int:
    """The last full hour of the order's age by ``time``."""
    return opened_at + (time - opened_at) // _HOUR_MS * _HOUR_MS
