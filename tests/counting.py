"""How much of AWS an order uses, counted over the in-memory twins. `python -m tests.counting` prints it.

The real services run in one thread. Each call of a port goes to the real adapter too, whose boto3 clients note the
request and send nothing. So a change of an adapter changes the count, and the count is the same on every machine.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import boto3
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from shopflow.aws.items import Item, audit_to_item, order_to_item
from shopflow.aws.queues import SnsTopic, SqsQueue
from shopflow.aws.tables import DynamoAuditLog, DynamoOrders, DynamoProducts
from shopflow.config import load_config
from tests.clocks import ManualClock
from tests.system import CATALOG, System
from tests.twins import wire

VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"
ORDERS = 100
ALL_PAID = [VISA] * ORDERS
FOUR_IN_FIVE_PAID = ([VISA] * 4 + [EXPIRED]) * (ORDERS // 5)
DOWN_THE_CHAIN = ("inventory", "payment", "notification", "audit")
"""The order of services in which all batches are full: each works on everything that the one before it left."""
DAY_SECONDS = 24 * 3600
MAX_SWEEPS = 5
REQUIRED = ("TOPIC_ARN", "ORDERS_TABLE", "INVENTORY_TABLE", "EVENTS_TABLE", "OPEN_ORDERS_INDEX")
SETTINGS = load_config({f"SHOPFLOW_{name}": "any" for name in REQUIRED})
"""The default settings of a deployment."""
NOWHERE = "http://127.0.0.1:1"

Usage = Mapping[str, float]
"""Calls of AWS by operation, such as ``PublishBatch``, and the units of DynamoDB."""
UNIT_BYTES = 1024
WRITE, READ = "WriteCapacityUnits", "ReadCapacityUnits"
SQS = ("ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch")
PRICES = dict.fromkeys(SQS, 0.40) | {"PublishBatch": 0.50, WRITE: 0.625, READ: 0.125}
"""Dollars a million in us-east-1 since 2024-11-01: standard queues and topics, DynamoDB on demand, no free tier. SNS
delivers to SQS for free. Every payload here is far below the 64 KB from which SNS and SQS bill a second request."""


def units_of(operation: str, params: Mapping[str, Any]) -> tuple[float, float]:
    """The write and read units of a request to the tables. Every item is below 1 KB, and every scan below 4 KB.

    The rules are those of the DynamoDB developer guide. A refused request costs the same. Raises ``ValueError`` for a
    request without a rule, so that the count cannot miss a call.
    """
    match operation:
        case "TransactWriteItems":
            return 2 * len(params["TransactItems"]), 0
        case "BatchExecuteStatement":
            return len(params["Statements"]), 0
        case "BatchGetItem":
            return 0, sum(len(one["Keys"]) * _units_of_a_read(one) for one in params["RequestItems"].values())
        case "GetItem" | "Scan":
            return 0, _units_of_a_read(params)
        case _ if operation in PRICES:
            return 0, 0
    raise ValueError(f"no rule for what {operation} costs")


def _units_of_a_read(params: Mapping[str, Any]) -> float:
    return 1 if params.get("ConsistentRead") else 0.5


def calls_in(usage: Usage) -> float:
    return sum(count for name, count in usage.items() if name not in (WRITE, READ))


def dollars_a_million(usage: Usage) -> float:
    return sum(count * PRICES.get(name, 0) for name, count in usage.items())


class Meter:
    """A tap (`tests.taps.Tap`) that adds up what the calls of each service would use on AWS.

    ``opened``: the index of open orders. A write to it costs a unit of its own.
    """

    def __init__(self, opened: Mapping[str, int]) -> None:
        self.by_service: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._opened = opened
        self._noted: list[tuple[str, Mapping[str, Any]]] = []
        session = boto3.session.Session("noted", "noted", region_name="us-east-1")
        session.events.register("before-parameter-build.*.*", self._note)
        session.events.register("before-call.*.*", self._answer)
        dynamodb = session.client("dynamodb", endpoint_url=NOWHERE)
        self._adapters: Mapping[str, object] = {
            "orders": DynamoOrders(dynamodb, "orders", "inventory", "open-orders"),
            "products": DynamoProducts(dynamodb, "inventory"),
            "audit": DynamoAuditLog(dynamodb, "events"),
            "topic": SnsTopic(session.client("sns", endpoint_url=NOWHERE), "arn:aws:sns:us-east-1:000000000000:orders"),
            "queue": SqsQueue(session.client("sqs", endpoint_url=NOWHERE), f"{NOWHERE}/000000000000/queue"),
        }

    @property
    def usage(self) -> Usage:
        total: defaultdict[str, float] = defaultdict(float)
        for used in self.by_service.values():
            for name, count in used.items():
                total[name] += count
        return total

    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        port, _, name = method.partition(".")
        if port not in self._adapters:
            return call()
        self._noted.clear()
        answer = getattr(self._adapters[port], name)(*call.args, **call.keywords)
        if isinstance(answer, Iterator):
            list(answer)
        used, before = self.by_service[service], set(self._opened)
        for operation, params in self._noted:
            used[operation] += 1
            write, read = units_of(operation, params)
            used[WRITE] += write
            used[READ] += read
        try:
            return call()
        finally:
            used[WRITE] += len(before ^ self._opened.keys())

    def _note(self, params: Mapping[str, Any], model: Any, **_: object) -> None:
        self._noted.append((model.name, dict(params)))

    def _answer(self, **_: object) -> Any:
        """What the adapters read of an answer. They look for failures otherwise, and find none."""
        statements = self._noted[-1][1].get("Statements")
        responses: Any = {} if statements is None else [{} for _ in statements]
        return SimpleNamespace(status_code=200), {"Responses": responses, "Items": []}


class Counted(System):
    """A system under a meter, with a clock that the test advances."""

    def __init__(self) -> None:
        clock = ManualClock()
        twins = wire(CATALOG, clock)
        self.meter = Meter(twins.tables.opened)
        super().__init__({"PROD-001": 10 * ORDERS}, clock=clock, twins=twins, tap=self.meter)

    def work_off(self, services: Sequence[str]) -> None:
        """Let each of ``services`` in turn empty its queue, until all queues are empty. No receive is empty."""
        while any(self.queues[name].depth().waiting for name in services):
            for name in services:
                while self.queues[name].depth().waiting:
                    self.step(name)

    def close_declined(self) -> None:
        """Let the relay close the declined orders: it looks at them when they are old enough."""
        for _ in range(MAX_SWEEPS):
            if self.tables.opened:
                self.clock.advance(SETTINGS.relay_interval_seconds)
                self.sweep()

    def usage_of_one(self, orders: int) -> Usage:
        """Raises when one of the ``orders`` is unfinished, or an item is over 1 KB: the count would be too low."""
        if self.tables.opened or len(self.tables.orders) != orders:
            raise RuntimeError("an order is unfinished")
        items = [order_to_item(order) for order in self.tables.orders.values()]
        items += [
            audit_to_item(entry.event, entry.stored_at) for one in self.tables.orders for entry in self.audit.trail(one)
        ]
        if max(map(item_bytes, items)) > UNIT_BYTES:
            raise RuntimeError("an item takes more than one write unit")
        return {name: count / orders for name, count in self.meter.usage.items()}


def at_saturation(payment_methods: Sequence[str]) -> Usage:
    """The usage of one order when one-line orders, one for each payment method, come at once: all batches are full."""
    counted = Counted()
    counted.place_together({"PROD-001": 1}, payment_methods)
    counted.work_off(DOWN_THE_CHAIN)
    counted.close_declined()
    return counted.usage_of_one(len(payment_methods))


def at_one_a_second(orders: int = 20) -> Usage:
    """The usage of one order when each one-line order ends before the next one comes: every batch holds one message.

    A service with a batch window is the exception: its batches hold the messages of that many seconds.
    """
    counted = Counted()
    windows = {name: CATALOG.services[name].batch_window_seconds for name in DOWN_THE_CHAIN}
    for number in range(1, orders + 1):
        counted.place({"PROD-001": 1}, VISA)
        counted.work_off([name for name, seconds in windows.items() if not seconds])
        counted.work_off([name for name, seconds in windows.items() if seconds and number % seconds == 0])
        counted.clock.advance(1)
    return counted.usage_of_one(orders)


def sizes_of_an_order(lines: int) -> list[int]:
    """Bytes of the stored order in each status on its way to COMPLETED; product names have 16 characters."""
    counted = Counted()
    products = {f"PROD-{number:03}": 1 for number in range(lines)}
    counted.twins.seed(products)
    order_id = counted.place(products, VISA, "k" * 22).order_id
    sizes = {}
    for name in (None, *DOWN_THE_CHAIN):
        if name:
            counted.step(name)
        order = counted.tables.orders[order_id]
        sizes[order.status] = item_bytes(order_to_item(order))
    return list(sizes.values())


def item_bytes(item: Item) -> int:
    """The size of an item, names and values."""
    return sum(_text_bytes(name) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, inner),) = value.items()
    match kind:
        case "S":
            return _text_bytes(inner)
        case "N":  # one byte for every two significant digits, and one more
            return math.ceil(len(inner.lstrip("-").replace(".", "").strip("0")) / 2) + 1
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + _value_bytes(element) for element in inner)
        case "M":
            return 3 + len(inner) + item_bytes(inner)
    raise ValueError(f"no rule for the size of a value of type {kind}")


def _text_bytes(text: str) -> int:
    return len(text.encode())


@dataclass
class UntilTonight:
    """A `threading.Event` that is set a day from now. Waiting for it turns the clock."""

    clock: ManualClock
    end: int

    def is_set(self) -> bool:
        return self.clock.now >= self.end

    def wait(self, seconds: float) -> bool:
        self.clock.advance(seconds)
        return self.is_set()


def idle_day() -> dict[str, Usage]:
    """What each service uses in a day without orders: one process of each, with the default settings."""
    counted = Counted()
    polls_a_day = DAY_SECONDS // SETTINGS.receive_wait_seconds
    for name in counted.consumers:
        counted.step(name)  # on AWS it ends with a long poll; the twin does not wait
        counted.meter.by_service[name]["ReceiveMessage"] *= polls_a_day
    evening: Any = UntilTonight(counted.clock, counted.clock.now + DAY_SECONDS * 1000)
    counted.relay.run(evening, SETTINGS.relay_interval_seconds)
    return dict(counted.meter.by_service)


def table_of(usages: Mapping[str, Usage]) -> Table:
    """A column for each usage; a row for each operation, unit and price."""
    table = Table("one order of one line", box=SIMPLE)
    for name in usages:
        table.add_column(name, justify="right")

    def add(name: str, values: Sequence[float]) -> None:
        table.add_row(name, *(f"{value:.2f}" for value in values))

    for name in sorted({name for usage in usages.values() for name in usage}):
        add(name, [usage.get(name, 0) for usage in usages.values()])
    table.add_section()
    add("AWS calls in all", list(map(calls_in, usages.values())))
    add("dollars a million", list(map(dollars_a_million, usages.values())))
    return table


def main() -> None:
    about = "Count over the in-memory twins what an order uses of AWS, and what that costs."
    argparse.ArgumentParser(prog="python -m tests.counting", description=about).parse_args()
    console = Console(highlight=False)
    orders = {
        "full batches": at_saturation(ALL_PAID),
        "full, 20 % declined": at_saturation(FOUR_IN_FIVE_PAID),
        "1 order/s": at_one_a_second(),
    }
    console.print(table_of(orders))
    idle = {name: calls_in(usage) for name, usage in idle_day().items()}
    by_service = ", ".join(f"{name} {requests:,.0f}" for name, requests in idle.items())
    console.print(f"Requests in a day without orders: {sum(idle.values()):,.0f} ({by_service})")


if __name__ == "__main__":
    main()
