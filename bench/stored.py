"""Fills the tables with orders that are finished already, as if they had all been through the chain."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

from ulid import ULID

from bench.bare import template_order
from bench.testbed import Testbed
from scripts.console import CommandError
from shopflow.aws.items import audit_to_item, order_to_item
from shopflow.catalog import load_catalog
from shopflow.domain.order import LEGAL_TRAILS, EventHeader, Order, Status, Transition, charge, notify, reserve
from shopflow.messaging.outbox import stored_event

MAX_WRITES = 25
"""DynamoDB: items in one BatchWriteItem."""


def store_finished_orders(bed: Testbed, count: int) -> None:
    """Write ``count`` completed orders and their trails, past the services."""
    orders, trails = _templates()
    resources = bed.config.resources
    ids = [f"ORD-{os.urandom(4).hex().upper()}" for _ in range(count)]
    _write(bed, resources.orders_table, ({**orders, "orderId": {"S": order_id}} for order_id in ids))
    _write(
        bed,
        resources.events_table,
        ({**entry, "orderId": {"S": order_id}, "eventId": {"S": str(ULID())}} for order_id in ids for entry in trails),
    )


def _templates() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The item of a completed order, and those of its trail."""
    catalog, order = load_catalog(), template_order("BENCH-STORED")
    trail = [audit_to_item(stored_event(catalog, order), order.created_at)]
    for step in (_reserve, _charge):
        order = step(order).after
        trail.append(audit_to_item(stored_event(catalog, order), order.updated_at))
    return order_to_item(notify(order, order.updated_at).after), trail


def _reserve(order: Order) -> Transition:
    return reserve(order, _header(order, 1))


def _charge(order: Order) -> Transition:
    return charge(order, _header(order, 2), "TXN-0000000000000000", order.total_amount)


def _header(order: Order, number: int) -> EventHeader:
    """Of the ``number``-th event (from 0) of a happy order."""
    return EventHeader("0" * 26, LEGAL_TRAILS[Status.COMPLETED][number], order.created_at + number, "0" * 26)


def _write(bed: Testbed, table: str, items: Iterator[dict[str, Any]]) -> None:
    while chunk := list(itertools.islice(items, MAX_WRITES)):
        requests: Any = {table: [{"PutRequest": {"Item": item}} for item in chunk]}
        if bed.bare.dynamodb.batch_write_item(RequestItems=requests).get("UnprocessedItems"):
            raise CommandError(f"The emulator left items for {table} unprocessed.")
