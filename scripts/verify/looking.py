"""The invariants on live tables, in little memory: a page of orders at a time, and offenders looked at again.

What breaks an invariant at first sight may be work on its way, so it is only called a breach when a second look, a
moment later, finds it again, and nothing is left that could mend it: no message in a queue, no look of the relay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from scripts.replay.everything import chunks
from shopflow.clock import Clock
from shopflow.domain.order import Order
from shopflow.domain.stock import Product
from shopflow.invariants import OF_AN_ORDER, Breach, Evidence, HeldUnits, Report, charged_as_expected, check_order
from shopflow.messaging.relay import FIRST_LOOK_SECONDS
from shopflow.ports import AuditEntry, AuditLog, EveryOrder, Orders, Products

CHUNK = 100
READERS = 8
MAX_SUSPECTS = 500
MOMENT_SECONDS = 2.0
LOOKS = 3
"""At the stock: what differs by the same number each time is a breach, what changes is on its way."""
RELAY_SECONDS = 2 * FIRST_LOOK_SECONDS
"""By that age of an order the relay has looked at it once."""
Show = Callable[[str], None]


class OrdersTable(Orders, EveryOrder, Protocol):
    """The orders table, as services and as operators see it."""


@dataclass(frozen=True, slots=True)
class Live:
    """What is looked at. ``transaction_id`` is what the gateway makes of an order's id; ``waiting`` counts messages."""

    orders: OrdersTable
    products: Products
    audit: AuditLog
    transaction_id: Callable[[str], str]
    waiting: Callable[[], int]
    clock: Clock
    pause: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class Findings:
    """``breaches``: what nothing on its way can mend; ``in_flight``: what is apart because it still may.

    ``unseen_letters``: dead letters that were not looked at, about.
    """

    breaches: Report = field(default_factory=Report)
    in_flight: Report = field(default_factory=Report)
    unseen_letters: int = 0

    @property
    def hold(self) -> bool:
        """Whether all was looked at, and no breach found."""
        return self.breaches.holds and not self.unseen_letters


class Look:
    """One run over all orders and products."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._suspects: dict[str, Order] = {}
        self._findings = Findings()

    def findings(self, show: Show) -> Findings:
        """Invariants 1 to 4 and 6. Raises `Unavailable`."""
        products = self._live.products.all()
        held = HeldUnits()
        self._check_orders(held, show)
        self._look_again()
        self._findings.breaches.checked[2] += len(products)
        self._check_stock(held, products, show)
        return self._findings

    def _check_orders(self, held: HeldUnits, show: Show) -> None:
        done = 0
        with ThreadPoolExecutor(READERS) as readers:
            for orders in chunks(self._live.orders.all(), CHUNK):
                trails = readers.map(lambda order: self._live.audit.trail(order.order_id), orders)
                for order, trail in zip(orders, trails, strict=True):
                    held.add(order)
                    self._findings.breaches.saw(OF_AN_ORDER)
                    if self._breaches(order, trail):
                        self._suspects[order.order_id] = order
                if len(self._suspects) >= MAX_SUSPECTS:
                    self._look_again()
                done += len(orders)
                show(f"{done:,} orders")

    def _look_again(self) -> None:
        """At the suspects, the trail before the order: so a trail is never ahead of its order."""
        if not self._suspects:
            return
        self._live.pause(MOMENT_SECONDS)
        busy = self._live.waiting() > 0
        for order_ids in chunks(self._suspects, CHUNK):
            trails = {order_id: self._live.audit.trail(order_id) for order_id in order_ids}
            for order_id, order in self._live.orders.read(order_ids).items():
                moving = busy or order != self._suspects[order_id] or self._is_young(order)
                for breach in self._breaches(order, trails[order_id]):
                    self._sort(breach, moving)
        self._suspects.clear()

    def _sort(self, breach: Breach, moving: bool) -> None:
        passing = breach.may_pass and moving
        (self._findings.in_flight if passing else self._findings.breaches).add([breach])

    def _is_young(self, order: Order) -> bool:
        return order.opened_at is not None and self._live.clock.now_ms() - order.opened_at < RELAY_SECONDS * 1000

    def _breaches(self, order: Order, trail: Sequence[AuditEntry]) -> list[Breach]:
        charges = charged_as_expected(order, self._live.transaction_id(order.order_id))
        return list(check_order(Evidence(order, [entry.event for entry in trail], charges)))

    def _check_stock(self, held: HeldUnits, before: Sequence[Product], show: Show) -> None:
        """Count the units again until they are all there, or `LOOKS` times."""
        missing: list[Mapping[str, int]] = []
        while True:
            after = self._live.products.all()
            missing.append({one.product_id: held.missing(one) for one in after})
            offenders = list(held.check(after))
            if not offenders or len(missing) == LOOKS:
                break
            show(f"counting the units once more: {len(offenders)} products differ")
            self._live.pause(MOMENT_SECONDS)
            before, held = self._live.products.all(), HeldUnits()
            for order in self._live.orders.all():
                held.add(order)
        standing = {one.product_id for one in after if one in before}
        for breach in offenders:
            constant = len({look.get(breach.subject) for look in missing}) == 1
            self._sort(breach, moving=not (constant and breach.subject in standing))
