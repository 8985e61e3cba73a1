"""Whether ShopFlow gets slower with the number of orders that it has stored."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ulid import ULID

from bench.bed import Bed, Bench
from bench.results import Result
from bench.run_all import ROUNDS, Figures, passage, rows_of
from scripts.console import CommandError
from scripts.infra.clouds import local_client
from shopflow.aws.items import order_to_item
from shopflow.domain.order import Line, Order, Status

TITLE = "Growth: the same load with many finished orders stored"
ORDERS, CLIENTS = 300, 8
MAX_WRITES = 25
"""DynamoDB: items in one BatchWriteItem."""
NOTES = (
    f"{ORDERS} orders from {CLIENTS} clients, medians of {ROUNDS} rounds in turn.",
    "The emulator itself gets slower: its scans and queries are linear, and it saves all that it holds every few "
    "seconds. So the AWS calls say more than the times.",
)


def measure(bench: Bench) -> Result:
    orders, clients = bench.sized(ORDERS, 20), bench.sized(CLIENTS, 4)
    levels = (0, bench.sized(20_000, 200))
    passages: dict[str, list[Figures]] = {f"{stored:,} stored": [] for stored in levels}
    for number in range(bench.sized(ROUNDS, 1)):
        for stored, column in zip(levels, passages.values(), strict=True):
            bench.say(f"{stored:,} stored orders, round {number + 1}")
            with bench.bed() as bed:
                _store(bed, stored)
                column.append(passage(bed, "ShopFlow", orders, clients))
    return Result("growth", TITLE, tuple(passages), tuple(rows_of(passages)), NOTES)


def _store(bed: Bed, count: int) -> None:
    """Write ``count`` completed orders, and three events of each."""
    line = Line("BENCH", "Benchmark product", 1, Decimal("9.99"))
    placed = Order("ORD-1", "CUST-BENCH", (line,), created_at=1_700_000_000_000, updated_at=1_700_000_000_000)
    order = order_to_item(replace(placed, status=Status.COMPLETED, notified_at=1_700_000_001_000))
    event = {"eventType": {"S": "order.created"}, "payload": {"S": "x" * 400}}
    ids = [f"ORD-{os.urandom(4).hex().upper()}" for _ in range(count)]
    resources = bed.config.resources
    _write(bed, resources.orders_table, ({**order, "orderId": {"S": order_id}} for order_id in ids))
    events = (
        {**event, "orderId": {"S": order_id}, "eventId": {"S": str(ULID())}} for order_id in ids for _ in range(3)
    )
    _write(bed, resources.events_table, events)


def _write(bed: Bed, table: str, items: Iterator[dict[str, Any]]) -> None:
    dynamodb = local_client("dynamodb", bed.config.endpoint_url or "")
    while chunk := list(itertools.islice(items, MAX_WRITES)):
        requests: Any = {table: [{"PutRequest": {"Item": item}} for item in chunk]}
        if dynamodb.batch_write_item(RequestItems=requests).get("UnprocessedItems"):
            raise CommandError(f"The emulator left items of {table} unprocessed.")
