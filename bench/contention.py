"""Part 4: many orders for one hot product, from several inventory processes whose transactions conflict."""

from __future__ import annotations

import time
from collections import Counter

from bench.calls import Call, everything, read_calls
from bench.figures import Figure, Result, Target, at_least, at_most
from bench.instrumented import CONFLICT_RATE
from bench.load import HttpClient, place_orders
from bench.runner import Bench
from bench.runs import read_all
from bench.testbed import Testbed
from scripts.console import CommandError
from scripts.services import ORDER
from shopflow.domain.order import Status

TITLE = "Contention: one hot product, three inventory processes"
PROCESSES = 3
REFUSED = 0.1
PATIENCE_SECONDS = 180
TRANSACTION = "TransactWriteItems"
NOTES = (
    f"Refused with TransactionConflict on the client side: one transaction in {1 / REFUSED:g}, and each that overlaps "
    "another process's. DynamoDB takes units for a refused one too, so each counts as a write of the product.",
)


def measure(bench: Bench) -> Result:
    count = bench.sized(500, 60)
    with bench.testbed() as bed:
        product_id = bed.product(stock=count)
        bench.advance(0.1, "placing")
        with bed.running(bed.commands(ORDER), RELAY="off"):
            load = place_orders([HttpClient(bed.address, product_id).place for _ in range(16)], count)
        inventory = bed.logging_calls(bed.commands("inventory", instances={"inventory": PROCESSES}))
        bench.advance(0.4, "reserving")
        with bed.watch() as watch, bed.running(inventory, **{CONFLICT_RATE: str(REFUSED)}):
            started = time.monotonic()
            _wait_for_empty_queue(bed)
            seconds = time.monotonic() - started
        orders = Counter(order.status for order in read_all(bed, load.order_ids))
        left = bed.aws.products.read([product_id])[product_id].stock
    transactions = [call for call in everything(read_calls(bed.calls_folder)) if call.operation == TRANSACTION]
    rows: tuple[tuple[str, float, str, Target | None], ...] = (
        ("orders reserved", orders[Status.INVENTORY_RESERVED], "orders", at_least(count)),
        ("orders failed", orders[Status.INVENTORY_FAILED], "orders", at_most(0)),
        ("units left of as many as were ordered", left, "units", at_most(0)),
        ("product writes", sum(call.attempts for call in transactions) / count, "an order", at_most(0.2)),
        ("transactions refused", _refused(transactions), "", None),
        ("until the last is reserved", seconds, "s", None),
    )
    figures = tuple(Figure(name, value, unit, target, watch.conditions) for name, value, unit, target in rows)
    return Result("contention", TITLE, figures, NOTES)


def _refused(transactions: list[Call]) -> int:
    return sum(bool(call.error) for call in transactions)


def _wait_for_empty_queue(bed: Testbed) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while bed.bare.backlogs()["inventory"]:
        if time.monotonic() > deadline:
            raise CommandError(f"The inventory queue is not empty after {PATIENCE_SECONDS} s: see {bed.folder}")
        time.sleep(0.1)
