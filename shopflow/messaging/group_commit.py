"""Group commit: concurrent calls share one request, so that ten orders cost one call instead of ten."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from shopflow.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Item(Generic[T]):
    value: T
    result: Any = None
    done: bool = False


class GroupCommit(Generic[T, R]):
    """One request at a time, with the items of all callers that came since the last one. Thread-safe.

    No caller waits for others to come: when no request is under way, its own starts at once.

    ``request``: makes one request and returns a result, or an error, for each item in order. It gets at most ``most``
    items, all with different ``key``. An `Unavailable` that it raises counts for all of them; after any other error
    each item is requested alone, so that one never fails another.
    ``patience_seconds``: how long a caller waits for a request of another caller. None: as long as that takes.
    """

    def __init__(
        self,
        request: Callable[[Sequence[T]], Sequence[R | Exception]],
        most: int,
        key: Callable[[T], Hashable] = id,
        patience_seconds: float | None = None,
    ) -> None:
        self._request = request
        self._most = most
        self._key = key
        self._patience_seconds = patience_seconds
        self._waiting: list[_Item[T]] = []
        self._busy = False
        self._changed = threading.Condition()

    def submit(self, values: Sequence[T]) -> list[R | Exception]:
        """The result, or the error, of each of ``values``, in order. `Unavailable` for those that ran out of patience.

        Never raises.
        """
        mine = [_Item(value) for value in values]
        with self._changed:
            self._waiting += mine
        while batch := self._my_turn(mine):
            self._commit(batch)
        return [item.result for item in mine]

    def _my_turn(self, mine: Sequence[_Item[T]]) -> list[_Item[T]]:
        """The items that this thread must request now; none once ``mine`` are done."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._busy or _done(mine), self._patience_seconds):
                self._give_up(mine)
            if _done(mine):
                return []
            self._busy = True
            return self._next_batch()

    def _next_batch(self) -> list[_Item[T]]:
        batch: dict[Hashable, _Item[T]] = {}
        for item in self._waiting:
            if len(batch) < self._most:
                batch.setdefault(self._key(item.value), item)
        taken = list(batch.values())
        self._waiting = [item for item in self._waiting if item not in taken]
        return taken

    def _give_up(self, mine: Sequence[_Item[T]]) -> None:
        """A request that already has an item of ``mine`` in it may still succeed."""
        self._waiting = [item for item in self._waiting if item not in mine]
        for item in mine:
            if not item.done:
                item.result, item.done = Unavailable("no answer in time"), True

    def _commit(self, batch: Sequence[_Item[T]]) -> None:
        results: Sequence[R | Exception] = [Unavailable("interrupted")] * len(batch)
        try:
            results = self._results([item.value for item in batch])
        finally:
            with self._changed:
                self._busy = False
                for item, result in zip(batch, results, strict=True):
                    item.result, item.done = result, True
                self._changed.notify_all()

    def _results(self, values: Sequence[T]) -> Sequence[R | Exception]:
        try:
            return self._request(values)
        except Unavailable as error:
            return [error] * len(values)
        except Exception as error:
            if len(values) == 1:
                return [error]
            return [result for value in values for result in self._results([value])]


def _done(items: Sequence[_Item[T]]) -> bool:
    return all(item.done for item in items)
