"""Past one machine: what a rate of orders needs, and what one hot product does. Computed and simulated, not measured.

`python -m bench.capacity --help`. Processor times are measured; how long AWS takes for a call is assumed (`AWS`).
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import sys
from collections import deque
from collections.abc import Generator
from typing import Any, Literal

import simpy
from rich.console import Console

from bench.results import Result, Row, percentile, table_of
from scripts.console import OK, run_command
from shopflow.messaging.consumer import RETRY

Steps = Generator[simpy.Event, Any, None]
Kind = Literal["new", "release", "hot release"]
"""What a message asks for: reserve a new order, release a declined one, or release one of the hot product."""

TITLE = "Capacity: what many orders a second need"
ORDERS_A_SECOND, SECONDS = 10_000, 20
BATCH = 10
"""Messages in one receive (SQS)."""
HEADROOM = 1.25
DECLINED = 0.2
"""The share of payments that the gateway declines."""
HOT, STOCK_SHARE = 0.6, 0.15
"""In a flash sale: the share of orders for one product, and its units for each order of the sale."""
CPU_MS = {"order": 3.59, "inventory": 2.16, "payment": 3.38, "notification": 2.77, "audit": 2.48}
"""Processor time an order, by service: measured on 2026-11-22 at commit d33a0d8. Threads of a process share a core."""
AWS = {"receive": 10, "read": 5, "write": 6, "transact": 20, "conflict": 10, "publish": 20, "delete": 10}
"""Assumed milliseconds for a call from a machine in the same region."""
GATEWAY_MS = (300, 800)
MESSAGES = {"inventory": 1 + DECLINED, "payment": 1, "notification": 1, "audit": 3 + DECLINED}
"""How many messages a service receives for one order."""
QUOTAS = (
    ("SNS messages", 3 + DECLINED, 30_000),
    ("orders table: write units", 5, 40_000),
    ("index open-orders: write units", 2, 40_000),
    ("events table: write units", 3, 40_000),
)
"""A quota, how much of it an order uses, and its default a second for a new account in us-east-1."""
NOTES = (
    f"Computed: full batches, orders of one line, {DECLINED:.0%} declined, a reserve of {HEADROOM - 1:.0%}. "
    "Milliseconds for a call of AWS, assumed: " + ", ".join(f"{name} {ms}" for name, ms in AWS.items()) + ".",
    f"Simulated: the Inventory Service with that many threads, {SECONDS} s of orders. In the flash sale {HOT:.0%} of "
    f"the orders are for one product, which has units for {STOCK_SHARE / HOT:.0%} of them.",
)


def batch_seconds(service: str) -> float:
    """How long one thread is busy with a full batch, when no other thread is in its way."""
    least, most = GATEWAY_MS
    slowest_charge = least + (most - least) * BATCH / (BATCH + 1)
    own = {
        "inventory": 2 * AWS["read"] + AWS["transact"] + AWS["publish"],
        "payment": AWS["read"] + slowest_charge + AWS["write"] + AWS["publish"],
        "notification": AWS["read"] + AWS["write"],
        "audit": AWS["write"],
    }
    cpu = BATCH * CPU_MS[service] / MESSAGES[service]
    return (AWS["receive"] + own[service] + cpu + AWS["delete"]) / 1000


def threads(service: str, orders_a_second: float) -> int:
    """Consumer threads of ``service`` that keep up with that rate."""
    return math.ceil(orders_a_second * MESSAGES[service] / BATCH * batch_seconds(service) * HEADROOM)


class Sale:
    """The Inventory Service during a sale, simulated. Its threads contend for the row of one hot product.

    A transaction that finds another one on the row is refused (TransactionConflict), and its batch waits as the real
    consumer waits. ``waits``: seconds from each order to its reservation or refusal.
    """

    def __init__(self, orders_a_second: int, hot: float) -> None:
        self.waits: list[float] = []
        self.largest_backlog = 0
        self._rate, self._hot = orders_a_second, hot
        self._env, self._random = simpy.Environment(), random.Random(1)
        self._queue: deque[tuple[Kind, float]] = deque()  # with the time of arrival
        self._idle: deque[simpy.Event] = deque()
        self._row_is_free = True
        self._left = orders_a_second * SECONDS
        self._stock = round(self._left * STOCK_SHARE)

    def run(self) -> float:
        """Seconds until every order is reserved or refused, and the stock of every declined one is released."""
        self._env.process(self._customers())
        for _ in range(threads("inventory", self._rate)):
            self._env.process(self._thread())
        while self._left:
            self._env.step()
        return float(self._env.now)

    def _customers(self) -> Steps:
        for _ in range(self._left // BATCH):
            self._put("new", BATCH)
            yield self._env.timeout(BATCH / self._rate)

    def _put(self, kind: Kind, count: int = 1) -> None:
        self._queue.extend([(kind, self._env.now)] * count)
        self.largest_backlog = max(self.largest_backlog, len(self._queue))
        if self._idle:
            self._idle.popleft().succeed()

    def _thread(self) -> Steps:
        while True:
            while not self._queue:
                self._idle.append(self._env.event())
                yield self._idle[-1]
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            cpu = len(batch) * CPU_MS["inventory"] / MESSAGES["inventory"]
            yield self._env.timeout((AWS["receive"] + 2 * AWS["read"] + cpu) / 1000)
            failures = itertools.count(1)
            while not (yield from self._transaction([kind for kind, _ in batch])):
                yield self._env.timeout(RETRY.delay(next(failures)))
            self.waits += [self._env.now - at for kind, at in batch if kind == "new"]
            yield self._env.timeout((AWS["publish"] + AWS["delete"]) / 1000)

    def _transaction(self, batch: list[Kind]) -> Generator[simpy.Event, Any, bool]:
        """One transaction for a whole batch, releases too. Returns whether DynamoDB takes it."""
        orders = batch.count("new")
        wanting = sum(self._random.random() < self._hot for _ in range(orders))
        released = batch.count("hot release")
        reserved = min(wanting, self._stock)
        on_row = bool(reserved or released)
        if on_row and not self._row_is_free:
            yield self._env.timeout(AWS["conflict"] / 1000)
            return False
        if on_row:
            self._row_is_free = False
            self._stock += released - reserved
        yield self._env.timeout(AWS["transact"] / 1000)
        if on_row:
            self._row_is_free = True
        self._left -= len(batch)
        self._charge("hot release", reserved)
        self._charge("release", orders - wanting)
        return True

    def _charge(self, release: Kind, orders: int) -> None:
        for _ in range(orders):
            if self._random.random() < DECLINED:
                self._left += 1
                self._env.process(self._decline(release))

    def _decline(self, release: Kind) -> Steps:
        yield self._env.timeout(self._random.uniform(*GATEWAY_MS) / 1000)
        self._put(release)


def estimate(rate: int) -> Result:
    """What ``rate`` orders a second need, and how a sale at that rate goes."""
    rows = [Row(f"{service}: cores", "", (math.ceil(rate * CPU_MS[service] / 1000 * HEADROOM),)) for service in CPU_MS]
    rows += [Row(f"{service}: consumer threads", "", (threads(service, rate),)) for service in MESSAGES]
    rows += [Row(f"{name} (quota {quota:,})", "a second", (rate * each,)) for name, each, quota in QUOTAS]
    for name, hot in (("no hot product", 0.0), ("flash sale", HOT)):
        sale = Sale(rate, hot)
        rows.append(Row(f"{name}: all reserved and released after", "s", (sale.run(),)))
        rows.append(Row(f"{name}: an order waits for its reservation, p99", "s", (percentile(sale.waits, 99),)))
        rows.append(Row(f"{name}: largest backlog", "messages", (sale.largest_backlog,)))
    return Result("capacity", TITLE, (f"{rate:,} orders/s",), tuple(rows), NOTES)


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.capacity", description=TITLE)
    parser.add_argument("--orders-per-second", type=int, default=ORDERS_A_SECOND, metavar="N", help="default: 10,000")
    rate = parser.parse_args().orders_per_second
    if rate < BATCH:
        parser.error(f"at least {BATCH} orders a second")
    result = estimate(rate)
    Console(highlight=False).print(table_of(result), *result.notes, sep="\n")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
