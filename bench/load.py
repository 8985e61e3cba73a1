"""Customers: they place orders over HTTP, and somebody waits until all these orders have ended."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.bed import Bed
from scripts.console import CommandError
from scripts.infra.clouds import local_client
from shopflow.domain.times import to_ms

STALLED_SECONDS = 120
"""More than the visibility timeout: by then every lost message has been delivered again."""
MAX_KEYS = 100
"""DynamoDB: items in one BatchGetItem."""
LOOK_SECONDS = 0.25
ENDS = frozenset({"COMPLETED", "INVENTORY_FAILED", "PAYMENT_FAILED"})


@dataclass(frozen=True, slots=True)
class Placed:
    """An accepted order: when its POST began (ms since 1970), and how long the answer took (ms)."""

    order_id: str
    at: float
    post_ms: float


class Customer:
    """One keep-alive connection to the Order Service."""

    def __init__(self, bed: Bed, product_id: str) -> None:
        self._connection = http.client.HTTPConnection(bed.config.host, bed.config.port, timeout=60)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        items = [{"productId": product_id, "quantity": 1}]
        self._body = json.dumps({"customerId": "CUST-BENCH", "items": items})

    def place(self) -> Placed:
        """Place one order of one line. Raises `CommandError` when it is not accepted."""
        at, started = time.time() * 1000, time.perf_counter()
        self._connection.request("POST", "/orders", self._body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        text = response.read()
        if response.status != 201:
            raise CommandError(f"POST /orders answered {response.status}: {text.decode(errors='replace')}")
        return Placed(json.loads(text)["orderId"], at, (time.perf_counter() - started) * 1000)


def place_at_once(bed: Bed, orders: int, clients: int) -> list[Placed]:
    """Place ``orders``, shared by ``clients`` that each place the next one as soon as they have their answer."""
    product_id = bed.product()
    numbers = itertools.count()

    def run(customer: Customer) -> list[Placed]:
        placed = []
        while next(numbers) < orders:
            placed.append(customer.place())
        return placed

    customers = [Customer(bed, product_id) for _ in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        return [placed for each in pool.map(run, customers) for placed in each]


def place_one_a_second(bed: Bed, orders: int) -> list[Placed]:
    customer, started = Customer(bed, bed.product()), time.monotonic()
    placed = []
    for second in range(orders):
        time.sleep(max(0.0, started + second - time.monotonic()))
        placed.append(customer.place())
    return placed


def wait_for_ends(bed: Bed, order_ids: Sequence[str]) -> dict[str, int]:
    """When each order ended (ms since 1970), by its own ``updatedAt``. Raises `CommandError` when nothing goes on.

    Reads the oldest orders that are left, at most four batches a second, and never scans: it is to cost the emulator
    little.
    """
    dynamodb = local_client("dynamodb", bed.config.endpoint_url or "")
    table = bed.config.resources.orders_table
    left = dict.fromkeys(order_ids)
    ended: dict[str, int] = {}
    deadline = time.monotonic() + STALLED_SECONDS
    while left:
        keys = [{"orderId": {"S": order_id}} for order_id in itertools.islice(left, MAX_KEYS)]
        asked: Any = {
            "Keys": keys,
            "ProjectionExpression": "orderId, #status, updatedAt",
            "ExpressionAttributeNames": {"#status": "status"},
        }
        items = dynamodb.batch_get_item(RequestItems={table: asked})["Responses"][table]
        found = {one["orderId"]["S"]: to_ms(one["updatedAt"]["S"]) for one in items if one["status"]["S"] in ENDS}
        ended |= found
        for order_id in found:
            del left[order_id]
        if found:
            deadline = time.monotonic() + STALLED_SECONDS
        elif time.monotonic() > deadline:
            raise CommandError(f"{len(left)} orders do not end: see the logs in {bed.folder}")
        if len(found) < MAX_KEYS:
            time.sleep(LOOK_SECONDS)
    return ended
