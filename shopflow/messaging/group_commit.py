"""Group commit: concurrent requests share one publish, so that ten orders cost one call."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_SECONDS = 2.0
"""A client is waiting. The relay looks at the order after 30 s."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T]):
    """The events of one request. ``done``: nothing is left to do for it. ``alone``: publish them without the others."""

    events: Sequence[T]
    done: bool = False
    alone: bool = False

    @property
    def settled(self) -> bool:
        return self.done or self.alone


class GroupPublisher(Generic[T]):
    """Publishes for concurrent requests: one call at a time, with the events of all requests that came since the last.

    No request waits for others to come: if no call is under way, its own starts at once. After ``patience_seconds`` a
    request gives up and leaves its event to the relay, as after a crash. ``most``: requests a call.
    """

    def __init__(
        self, publish: Callable[[Sequence[T]], object], most: int, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._publish = publish
        self._most = most
        self._patience_seconds = patience_seconds
        self._waiting: list[_Waiting[T]] = []
        self._busy = False
        self._changed = threading.Condition()

    def publish(self, events: Sequence[T]) -> None:
        """Publish ``events`` as far as the topic accepts them. Raises what publishing them alone raises."""
        mine = _Waiting(events)
        with self._changed:
            self._waiting.append(mine)
        while batch := self._my_turn(mine):
            self._publish_for(batch)
        if mine.alone:
            self._publish(events)

    def _my_turn(self, mine: _Waiting[T]) -> Sequence[_Waiting[T]]:
        """What this thread must publish now; nothing once ``mine`` is settled."""
        with self._changed:
            if not self._changed.wait_for(lambda: mine.settled or not self._busy, self._patience_seconds):
                self._give_up(mine)
            if mine.settled:
                return ()
            self._busy = True
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            return batch

    def _give_up(self, mine: _Waiting[T]) -> None:
        """The topic does not answer. A call that already has ``mine`` in it may still succeed."""
        log.warning("the topic does not answer: left in the outbox for the relay")
        mine.done = True
        if mine in self._waiting:
            self._waiting.remove(mine)

    def _publish_for(self, batch: Sequence[_Waiting[T]]) -> None:
        together = False
        try:
            self._publish([event for one in batch for event in one.events])
            together = True
        except Exception as error:
            log.warning("publishing %d events one by one: %s", len(batch), error)
        finally:
            with self._changed:
                self._busy = False
                for one in batch:
                    one.done, one.alone = together, not together
                self._changed.notify_all()
