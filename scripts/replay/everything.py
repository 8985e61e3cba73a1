"""Rebuild every order from its events into a shadow table, and compare that with the orders table.

Both tables are paged through, so it takes the same memory for any number of orders. An order that differs is looked at
again, both its record and its events, since the audit log may just have been behind. One that cannot be read or
rebuilt is told of at the end, and holds up no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from rich.console import Console

from scripts.console import FAILED, OK, Progress
from scripts.operator_log import OperatorLog
from scripts.replay.comparing import breaches, rebuilt, same
from scripts.replay.troubles import MAX_SHOWN, Troubles
from shopflow.aws.shadow import MAX_BATCH_WRITE, ShadowOrders
from shopflow.aws.wiring import Aws
from shopflow.domain.event import Event
from shopflow.domain.order import Order
from shopflow.invariants import Breach

CHUNK = 100
MAX_SUSPECTS = 1000
SETTLE_SECONDS = 5
T = TypeVar("T")
Show = Callable[[str], None]


class Rebuild:
    """One run. ``suspects`` are the orders that differed at first sight, the first thousand of them."""

    def __init__(self, aws: Aws, shadow: ShadowOrders) -> None:
        self._aws = aws
        self._shadow = shadow
        self._suspects: set[str] = set()
        self.troubles = Troubles()
        self.compared = 0
        self.overflowed = False

    def fill(self, show: Show) -> None:
        """Rebuild every order of the audit log into the shadow table."""
        done = 0
        for order_ids in chunks(self._aws.audit.order_ids(), MAX_BATCH_WRITE):
            self._put([order for order_id in order_ids if (order := self._rebuilt(order_id))])
            done += len(order_ids)
            show(f"{done} orders")

    def compare(self, show: Show) -> None:
        """Compare both ways: every record with its shadow, and every shadow with there being a record."""
        for recorded in chunks(self._aws.orders.all(), CHUNK):
            shadows = self._shadow.read([order.order_id for order in recorded])
            for order in recorded:
                shadow = shadows.get(order.order_id)
                if shadow is None or not same(shadow, order):
                    self._suspect(order.order_id)
            self.compared += len(recorded)
            show(f"{self.compared} orders")
        for shadowed in chunks(self._shadow.all(), CHUNK):
            ids = {order.order_id for order in shadowed}
            for order_id in ids - self._aws.orders.read(ids).keys():
                self._suspect(order_id)

    def verdict(self) -> list[Breach]:
        """The differences that last: what only the audit log's delay explained is gone after a second look."""
        if any(breach.may_pass for breach in self._look_again()):
            time.sleep(SETTLE_SECONDS)
        return self._look_again()

    def _rebuilt(self, order_id: str) -> Order | None:
        with self.troubles.of(order_id):
            if order := rebuilt(self._events(order_id)):
                return order
        self._suspect(order_id)
        return None

    def _put(self, orders: list[Order]) -> None:
        """Write them all at once; if the table refuses, one by one, since that may be because of one of them."""
        try:
            self._shadow.put(orders)
        except Exception:
            for order in orders:
                with self.troubles.of(order.order_id):
                    self._shadow.put([order])

    def _look_again(self) -> list[Breach]:
        found: list[Breach] = []
        for order_id in sorted(self._suspects):
            with self.troubles.of(order_id):
                found += self._breaches(order_id)
        return found

    def _breaches(self, order_id: str) -> list[Breach]:
        """The events are read after the record, which is committed before its event is published."""
        order = self._aws.orders.read([order_id]).get(order_id)
        return breaches(order_id, order, self._events(order_id))

    def _events(self, order_id: str) -> list[Event]:
        return [entry.event for entry in self._aws.audit.trail(order_id)]

    def _suspect(self, order_id: str) -> None:
        if len(self._suspects) < MAX_SUSPECTS:
            self._suspects.add(order_id)
        else:
            self.overflowed = True


def rebuild_all(aws: Aws, log: OperatorLog, progress: Progress, console: Console, *, keep: bool) -> int:
    """Rebuild, compare and report. Returns 0 when every order is what its events add up to, 1 when not."""
    shadow = aws.shadow_orders()
    log.record("rebuild all orders", table=shadow.name, keep=keep)
    rebuild = Rebuild(aws, shadow)
    try:
        with progress.step(f"Making the table {shadow.name}"):
            shadow.create()
        with progress.step("Rebuilding every order from its events") as show:
            rebuild.fill(show)
        with progress.step("Comparing with the orders table") as show:
            rebuild.compare(show)
        found = rebuild.verdict()
        rebuild.troubles.report(progress)
    finally:
        if not keep:
            with progress.step(f"Deleting {shadow.name}"):
                shadow.drop()
    return report(rebuild, found, console)


def report(rebuild: Rebuild, found: list[Breach], console: Console) -> int:
    if not found:
        others = "each other one" if rebuild.troubles else "each"
        console.print(f"{rebuild.compared} orders: {others} is what its events add up to.")
        return FAILED if rebuild.troubles else OK
    console.print(f"{rebuild.compared} orders compared. Not what their events add up to:")
    for breach in found[:MAX_SHOWN]:
        late = " (its events may still be on their way)" if breach.may_pass else ""
        console.print(f"{breach.subject}: {breach.text}{late}", style="red", markup=False)
    if len(found) > MAX_SHOWN or rebuild.overflowed:
        console.print(f"… {len(found)}{' or more' if rebuild.overflowed else ''} in all", style="red")
    console.print("Next: python -m scripts.replay ORDER shows one of them side by side.")
    return FAILED


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """``items`` in lists of ``size``, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
