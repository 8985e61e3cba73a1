"""What an experiment works with: the running shop, its processes, and somebody who is told what is seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from statistics import median
from typing import Any

from scripts.console import CommandError, Progress, Step
from scripts.e2e import Shop, wait_for
from scripts.faults import Faults, Running
from scripts.services import url_of
from shopflow.clock import SystemClock
from shopflow.domain.order import LEGAL_TRAILS, Order, Status
from shopflow.domain.stock import Product
from shopflow.ports import AuditEntry

MUG = Product("DEMO-MUG", "Mug (for demonstrations)", Decimal("12.50"), 0, 0)
LAST = Product("DEMO-LAST", "The last one (for demonstrations)", Decimal("12.50"), 0, 0)
"""Products of the experiments' own, so that nobody else's stock changes. Both are sold out between experiments."""
VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"
PATIENCE_SECONDS = 120
"""For orders. A message that a dead process had received comes again after 60 s."""
SOON_SECONDS = 30
"""For all else: a message in a queue, a flag in a trail, the start of a process."""
Message = dict[str, Any]
Hear = Callable[[str, str], None]


class Lab:
    """``tell`` gets each message; ``heard`` the functions that get each log line (label, line) of the services."""

    def __init__(
        self, claim: int, running: Running, faults: Faults, tell: Callable[[Message], None], heard: list[Hear]
    ) -> None:
        self._claim = claim
        self._tell = tell
        self._shop = Shop(url_of(running.config), lambda: None)
        self.running, self.aws, self.supervisor = running, running.aws, running.supervisor
        self.faults = faults
        self.heard = heard

    def step(self, text: str) -> None:
        self._tell({"type": "step", "claim": self._claim, "text": text, "at": SystemClock().now_ms()})

    def evidence(self, name: str, value: object) -> None:
        self._tell({"type": "evidence", "claim": self._claim, "name": name, "value": str(value)})

    def stock(self, product: Product, units: int) -> None:
        """Make sure that exactly ``units`` are in stock. Raises `CommandError` when there are more."""
        self.aws.products.put(product)
        now = self.stock_of(product)
        if now > units:
            raise CommandError(
                f"{product.product_id} has {now} units in stock, more than the {units} needed: order some"
            )
        if now < units:
            self.aws.products.restock(product.product_id, units - now)

    def stock_of(self, product: Product) -> int:
        return self.aws.products.read([product.product_id])[product.product_id].stock

    def order(self, units: int = 1, product: Product = MUG, payment_method: str = VISA) -> str:
        """Returns the id of a new order."""
        return self._shop.place({product.product_id: units}, payment_method)

    def timed_orders(self, number: int) -> tuple[list[str], float]:
        """That many orders, one after another: their ids, and the median of the milliseconds until the answer."""
        ids, milliseconds = [], []
        for _ in range(number):
            started = time.monotonic()
            ids.append(self.order())
            milliseconds.append((time.monotonic() - started) * 1000)
        return ids, median(milliseconds)

    def orders_at_once(self, number: int, product: Product = MUG) -> list[str]:
        with ThreadPoolExecutor(min(number, 16)) as pool:
            return list(pool.map(lambda _: self.order(product=product), range(number)))

    def until(self, status: Status, order_ids: Sequence[str]) -> list[Order]:
        """The orders, once all have that status; or as they are after `PATIENCE_SECONDS`."""
        return self._wait(lambda order: order.status is status, order_ids)

    def ended(self, order_ids: Sequence[str]) -> list[Order]:
        """The orders, once nothing is left to do for any of them; or as they are after `PATIENCE_SECONDS`."""
        return self._wait(lambda order: order.opened_at is None, order_ids)

    def _wait(self, enough: Callable[[Order], bool], order_ids: Sequence[str]) -> list[Order]:
        orders = self.aws.orders
        return wait_for(
            lambda: list(orders.read(order_ids).values()), lambda seen: all(map(enough, seen)), PATIENCE_SECONDS
        )

    def completed(self, order_ids: Sequence[str]) -> int:
        """How many of the orders are completed, once all have ended."""
        return sum(order.status is Status.COMPLETED for order in self.ended(order_ids))

    def trail(self, order: Order) -> list[AuditEntry]:
        """The order's trail, once it is complete; or as it is after `PATIENCE_SECONDS`."""
        whole = len(LEGAL_TRAILS[order.status])
        return wait_for(lambda: self.aws.audit.trail(order.order_id), lambda seen: len(seen) >= whole, PATIENCE_SECONDS)

    def backlog(self, service: str, enough: Callable[[int], bool]) -> int:
        """How many messages the service's queue holds, once that is ``enough``; or after `SOON_SECONDS`."""
        return wait_for(lambda: self.aws.backlogs().of(service).queue.total, enough, SOON_SECONDS)

    def untouched(self, before: Mapping[str, int]) -> bool:
        """Whether the processes of ``before`` still run."""
        return before.items() <= self.supervisor.pids().items()


class Told(Progress):
    """What a command would print becomes steps of the experiment."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self._lab = lab

    def say(self, text: str) -> None:
        self._lab.step(text.strip())

    warn = say

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        self.say(f"{title} …")
        yield Step(lambda detail: self.say(f"{title}: {detail}"))
