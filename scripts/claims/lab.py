"""What an experiment works with: the running shop, its processes, and somebody who is told what is seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from scripts.console import CommandError, Progress, Step
from scripts.e2e import Shop, wait_for
from scripts.faults import Faults, Running
from shopflow.clock import SystemClock
from shopflow.domain.order import Order, Status
from shopflow.domain.stock import Product
from shopflow.ports import QueueDepth

MUG = Product("DEMO-MUG", "Mug (for demonstrations)", Decimal("12.50"), 0, 0)
LAST = Product("DEMO-LAST", "The last one (for demonstrations)", Decimal("12.50"), 0, 0)
"""Products of the experiments' own, so that nobody else's stock changes. Both are sold out between experiments."""
VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"
PATIENCE_SECONDS = 120
"""A message that a dead process had received comes again after 60 s."""
Message = dict[str, Any]
Hear = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Verdict:
    holds: bool
    text: str


@dataclass(frozen=True)
class Lab:
    """``tell`` gets each message; ``heard`` the functions that get each log line (label, line) of the services."""

    claim: int
    running: Running
    shop: Shop
    faults: Faults
    tell: Callable[[Message], None]
    heard: list[Hear]

    def step(self, text: str) -> None:
        self.tell({"type": "step", "claim": self.claim, "text": text, "at": SystemClock().now_ms()})

    def evidence(self, name: str, value: object) -> None:
        self.tell({"type": "evidence", "claim": self.claim, "name": name, "value": str(value)})

    def stock(self, product: Product, units: int) -> None:
        """Make sure that exactly ``units`` are in stock. Raises `CommandError` when there are more."""
        self.running.aws.products.put(product)
        now = self.running.aws.products.read([product.product_id])[product.product_id].stock
        if now > units:
            raise CommandError(
                f"{product.product_id} has {now} units in stock, more than the {units} needed: order some"
            )
        if now < units:
            self.running.aws.products.restock(product.product_id, units - now)

    def stock_of(self, product: Product) -> int:
        return self.running.aws.products.read([product.product_id])[product.product_id].stock

    def order(self, units: int = 1, product: Product = MUG, payment_method: str = VISA) -> str:
        """Returns the id of a new order."""
        return self.shop.place({product.product_id: units}, payment_method)

    def timed_orders(self, number: int) -> tuple[list[str], list[float]]:
        """That many orders, one after another: their ids, and the milliseconds until each was answered."""
        ids, milliseconds = [], []
        for _ in range(number):
            started = time.monotonic()
            ids.append(self.order())
            milliseconds.append((time.monotonic() - started) * 1000)
        return ids, milliseconds

    def orders_at_once(self, number: int, product: Product = MUG) -> list[str]:
        with ThreadPoolExecutor(min(number, 16)) as pool:
            return list(pool.map(lambda _: self.order(product=product), range(number)))

    def read(self, order_ids: Sequence[str]) -> list[Order]:
        return list(self.running.aws.orders.read(order_ids).values())

    def until(self, status: Status, order_ids: Sequence[str], seconds: float = PATIENCE_SECONDS) -> list[Order]:
        """The orders, once all have that status; or as they are after ``seconds``."""
        return wait_for(lambda: self.read(order_ids), lambda seen: all(one.status is status for one in seen), seconds)

    def ended(self, order_ids: Sequence[str]) -> list[Order]:
        """The orders, once nothing is left to do for any of them; or as they are after `PATIENCE_SECONDS`."""
        return wait_for(
            lambda: self.read(order_ids), lambda seen: all(one.opened_at is None for one in seen), PATIENCE_SECONDS
        )

    def backlog(self, service: str) -> QueueDepth:
        return self.running.aws.backlogs().of(service).queue

    def dead_letters(self, service: str) -> int:
        return self.running.aws.dead_letters(service).depth()

    def untouched(self, before: Mapping[str, int], but: Iterable[str]) -> bool:
        """Whether the processes of ``before`` still run, except those of the services ``but``."""
        changing = {label for service in but for label in self.running.supervisor.labels(service)}
        now = self.running.supervisor.pids()
        return all(now.get(label) == pid for label, pid in before.items() if label not in changing)

    @contextmanager
    def hearing(self, hear: Hear) -> Iterator[None]:
        self.heard.append(hear)
        try:
            yield
        finally:
            self.heard.remove(hear)


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


def completed(orders: Iterable[Order]) -> int:
    return sum(order.status is Status.COMPLETED for order in orders)


@dataclass(frozen=True, slots=True)
class Claim:
    """One of the seven. ``seconds``: about how long its experiment takes."""

    id: int
    title: str
    problem: str
    experiment: str
    seconds: int
    run: Callable[[Lab], Verdict]

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("id", "title", "problem", "experiment", "seconds")}
