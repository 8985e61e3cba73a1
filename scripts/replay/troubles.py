"""The orders that a command could not process, while it went on with the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scripts.console import Progress
from shopflow.errors import Unavailable

MAX_IN_A_ROW = 5
"""When this many orders one after the other meet `Unavailable`, it is not the orders: AWS is away."""
MAX_SHOWN = 20


class Troubles:
    """What went wrong, by order: the first of each."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}
        self._in_a_row = 0

    def __bool__(self) -> bool:
        return bool(self._found)

    @contextmanager
    def of(self, order_id: str) -> Iterator[None]:
        """Keep whatever is raised inside as the trouble of that order. Raises `Unavailable` when AWS is away."""
        try:
            yield
        except Unavailable as error:
            self._in_a_row += 1
            if self._in_a_row == MAX_IN_A_ROW:
                raise
            self._keep(order_id, error)
        except Exception as error:  # of one order, whatever it is: the others shall not wait for it
            self._in_a_row = 0
            self._keep(order_id, error)
        else:
            self._in_a_row = 0

    def report(self, progress: Progress) -> None:
        """A line for each order."""
        for order_id, text in list(self._found.items())[:MAX_SHOWN]:
            progress.warn(f"{order_id} {text}")
        if len(self._found) > MAX_SHOWN:
            progress.warn(f"… {len(self._found)} in all")

    def _keep(self, order_id: str, error: Exception) -> None:
        self._found.setdefault(order_id, " ".join(f"failed: {type(error).__name__}: {error}".split()))
