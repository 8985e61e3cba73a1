"""Clients that place orders as fast as they are answered, each on a connection of its own that it keeps."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.figures import percentile
from scripts.console import CommandError

TIMEOUT_SECONDS = 30
VISA, DECLINED = "pm_card_visa", "pm_card_declined_expired"
Place = Callable[[], str]
"""Places one order and returns its id."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a number of orders: their ids, how long each took to place, how long all of them took."""

    order_ids: tuple[str, ...]
    seconds: tuple[float, ...]
    elapsed: float

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.elapsed

    def milliseconds(self, percent: float) -> float:
        return percentile(self.seconds, percent) * 1000


class HttpClient:
    """One keep-alive connection to the Order Service. Each order pays by the next of ``payment_methods``."""

    def __init__(self, address: tuple[str, int], product_id: str, payment_methods: Iterator[str] | None = None) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=TIMEOUT_SECONDS)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = {"customerId": "CUST-BENCH", "items": [{"productId": product_id, "quantity": 1}]}
        self._payment_methods = payment_methods or itertools.repeat(VISA)
        self._order = body

    def place(self) -> str:
        """Place an order. Raises `CommandError` when it is not accepted."""
        body = json.dumps(self._order | {"paymentMethod": next(self._payment_methods)}).encode()
        self._connection.request("POST", "/orders", body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        text = response.read()
        if response.status != 201:
            raise CommandError(f"POST /orders answered {response.status}: {text.decode(errors='replace')}")
        return str(json.loads(text)["orderId"])


def http_clients(
    address: tuple[str, int], product_id: str, number: int, payment_methods: Sequence[str] = (VISA,)
) -> list[Place]:
    """Clients among whom ``payment_methods`` go round: the share of each holds of all orders, not of each client's."""
    turns = itertools.cycle(payment_methods)
    return [HttpClient(address, product_id, turns).place for _ in range(number)]


def place_orders(clients: Sequence[Place], count: int, before_each: Callable[[], None] = lambda: None) -> Load:
    """Place ``count`` orders, shared among ``clients``, each in a thread of its own. Raises what one of them raises."""
    numbers = itertools.count()
    go = threading.Barrier(len(clients) + 1)

    def run(place: Place) -> list[tuple[str, float]]:
        placed = []
        go.wait()
        while next(numbers) < count:
            before_each()
            started = time.perf_counter()
            order_id = place()
            placed.append((order_id, time.perf_counter() - started))
        return placed

    with ThreadPoolExecutor(len(clients)) as pool:
        runs = [pool.submit(run, place) for place in clients]
        go.wait()
        started = time.perf_counter()
        placed = [one for future in runs for one in future.result()]
        elapsed = time.perf_counter() - started
    return Load(tuple(order_id for order_id, _ in placed), tuple(seconds for _, seconds in placed), elapsed)


def holding_back(backlog: Callable[[], int], most: int) -> Callable[[], None]:
    """For `place_orders`: wait while the longest queue holds ``most`` messages or more."""

    def wait() -> None:
        while backlog() >= most:
            time.sleep(0.05)

    return wait
