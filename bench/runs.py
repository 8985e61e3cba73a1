"""Orders through the whole chain, in the ways that more than one part needs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.calls import CallsByProcess, begun_between, read_calls, until_last_deletion, usage_of
from bench.costs import OrderCost
from bench.figures import Conditions
from bench.load import VISA, http_clients, place_orders
from bench.testbed import WORKERS, Testbed
from scripts.console import CommandError
from scripts.services import ORDER
from shopflow.domain.order import Order, Status

CLIENTS = 16
READ_AT_ONCE = 100
STAGED = {"SQS_WAIT_SECONDS": "20", "RELAY": "off", "PAYMENT_LATENCY_MIN_MS": "0", "PAYMENT_LATENCY_MAX_MS": "0"}
"""The audit log is written last, so the relay would find no receipts and publish again what was published."""
CLOSE_SECONDS = 30
LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Run:
    """Orders from their POST to their end, and the calls that it took."""

    orders: tuple[Order, ...]
    calls: CallsByProcess
    conditions: Conditions

    @property
    def declined(self) -> float:
        """The share of the orders whose payment failed (0-1)."""
        return sum(order.status is Status.PAYMENT_FAILED for order in self.orders) / len(self.orders)

    @property
    def cost(self) -> OrderCost:
        return OrderCost(len(self.orders), usage_of(self.calls))


def saturated(bed: Testbed, count: int, payment_methods: Sequence[str] = (VISA,)) -> Run:
    """Place ``count`` orders, then start one worker after the other, each on the backlog that the one before it left.

    So every batch is as full as it can be, whatever else the machine does. The gateway answers at once.
    """
    started = time.monotonic()
    product_id = bed.product()
    commands = bed.logging_calls(bed.commands(ORDER, *WORKERS))
    with bed.watch() as watch, bed.running(commands, only=(ORDER,), **STAGED) as services:
        load = place_orders(http_clients(bed.address, product_id, CLIENTS, payment_methods), count)
        for service in WORKERS:
            services.start(service)
            bed.wait_until_drained(service)
        bed.wait_until_drained()
        orders = finished(bed, load.order_ids)
    made = begun_between(read_calls(bed.calls_folder), started, math.inf)
    return Run(tuple(orders), until_last_deletion(made), watch.conditions)


def finished(bed: Testbed, order_ids: Sequence[str]) -> list[Order]:
    """The orders, once all of them are closed. Raises `CommandError` when that takes too long."""
    deadline = time.monotonic() + CLOSE_SECONDS
    while time.monotonic() < deadline:
        orders = read_all(bed, order_ids)
        if len(orders) == len(order_ids) and not any(order.opened_at for order in orders):
            return orders
        time.sleep(LOOK_SECONDS)
    raise CommandError(f"Not every order ends: see the logs in {bed.folder}")


def read_all(bed: Testbed, order_ids: Sequence[str]) -> list[Order]:
    chunks = (order_ids[start : start + READ_AT_ONCE] for start in range(0, len(order_ids), READ_AT_ONCE))
    return [order for chunk in chunks for order in bed.aws.orders.read(chunk).values()]
