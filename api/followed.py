"""What is known of an order that is followed, and when to look at its audit trail again. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from shopflow.domain.order import LEGAL_TRAILS, Order
from shopflow.ports import AuditEntry

FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 200, 2_000
"""Between looks for an audit entry that must come."""
SETTLING_MS = 2_000
"""An order is followed for so long after its legal trail is complete: until its customer is told, and other services
have recorded what they have to say."""
HISTORY_MS = 10_000
"""What happened longer before an order's first look is no news."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An order and its trail, as they were last looked at. ``settled``: nothing more is expected of it."""

    order: Order
    entries: tuple[AuditEntry, ...] = ()
    settled: bool = False

    @property
    def missing(self) -> bool:
        """Whether events that the order has been through are not in the trail yet."""
        return not set(self.order.trail) <= self._event_types

    @property
    def complete(self) -> bool:
        """Whether the status is terminal and its whole legal trail is known."""
        legal = LEGAL_TRAILS.get(self.order.status)
        return legal is not None and set(legal) <= self._event_types

    @property
    def _event_types(self) -> set[str]:
        return {entry.event.event_type for entry in self.entries}


def is_history(order: Order, now: int) -> bool:
    """Whether the order was finished so long ago that nothing of it is news."""
    return order.opened_at is None and max(order.updated_at, order.notified_at or 0) < now - HISTORY_MS


class Followed:
    """One order from its first look on. All times in milliseconds.

    Its trail is looked at when the order has moved, again and again while an entry is missing, and once more before it
    settles: events of services that the order's own state knows nothing of stand there, too.
    """

    def __init__(self, order: Order, now: int) -> None:
        self.seen = Seen(order)
        self._first_at = now
        self._next_look: int | None = now
        self._pause = FIRST_PAUSE_MS
        self._complete_at: int | None = None

    def saw(self, order: Order, now: int) -> bool:
        """Note the order as it stands. Returns whether its status is another."""
        before = self.seen.order
        if order != before:
            self.seen = replace(self.seen, order=order)
        if (order.status, order.trail) != (before.status, before.trail):
            self._next_look, self._pause = now, FIRST_PAUSE_MS
        return order.status is not before.status

    def trail_is_due(self, now: int) -> bool:
        return self._next_look is not None and now >= self._next_look

    def saw_trail(self, trail: Collection[AuditEntry], now: int) -> tuple[AuditEntry, ...]:
        """Note the trail as it stands. Returns the entries that are news."""
        known = {entry.event.event_id for entry in self.seen.entries}
        new = tuple(entry for entry in trail if entry.event.event_id not in known)
        if new:
            self.seen = replace(self.seen, entries=(*self.seen.entries, *new))
        self._plan(now)
        return tuple(entry for entry in new if entry.event.time_ms >= self._first_at - HISTORY_MS)

    def put_off(self, now: int) -> None:
        """The trail could not be looked at, or lacks an entry: try again after a pause that grows."""
        self._next_look = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_MS)

    def _plan(self, now: int) -> None:
        if self.seen.missing:
            self.put_off(now)
        elif not self.seen.complete:
            self._next_look = None
        elif self._complete_at is None or now < self._complete_at + SETTLING_MS:
            self._complete_at = self._complete_at or now
            self._next_look = self._complete_at + SETTLING_MS
        else:
            self._next_look = None
            self.seen = replace(self.seen, settled=True)
