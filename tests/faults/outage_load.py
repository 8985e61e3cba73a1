"""Clients that order on while things break, and what they see."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import requests

from tests.live import VISA

CLIENTS = 8
PAUSE_SECONDS = 1.0
"""Of each client between two orders."""
GIVE_UP_SECONDS = 15
RETRY_SECONDS = 120
ANSWER_SECONDS = 10
"""The API's slowest answer that passes: what two calls to a store that is away may take, each tried twice for 2 s."""


@dataclass(slots=True)
class Load:
    """What clients saw. ``order_ids`` by idempotency key: more than one is a double order."""

    order_ids: dict[str, set[str]] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    slowest_503: float = 0
    slowest: float = 0

    def saw(self, status: int, seconds: float) -> None:
        self.answers[status] += 1
        self.slowest = max(self.slowest, seconds)
        if status == 503:
            self.slowest_503 = max(self.slowest_503, seconds)

    @property
    def placed(self) -> list[str]:
        return [order_id for order_ids in self.order_ids.values() for order_id in order_ids]


@contextmanager
def under_load(url: str, product: str) -> Iterator[Load]:
    """Clients place orders of one unit each for as long as the block lasts."""
    load, stop = Load(), threading.Event()
    clients = [threading.Thread(target=_order_on, args=(url, product, load, stop)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield load
    finally:
        stop.set()
        for client in clients:
            client.join()


def missed_by(load: Load) -> Iterator[str]:
    """What clients must not see."""
    for key, order_ids in load.order_ids.items():
        if len(order_ids) != 1:
            yield f"the key {key} was answered with {len(order_ids)} orders"
    if wrong := {status: count for status, count in load.answers.items() if status not in (201, 503)}:
        yield f"answers other than 201 and 503 (0: none within {GIVE_UP_SECONDS} s): {wrong}"
    if load.slowest > ANSWER_SECONDS:
        yield f"an answer took {load.slowest:.1f} s, more than {ANSWER_SECONDS} s"


def _order_on(url: str, product: str, load: Load, stop: threading.Event) -> None:
    """A client: places orders, each under a key of its own, tries again until it is told 201, and then once more."""
    while not stop.wait(PAUSE_SECONDS):
        key = uuid4().hex
        load.order_ids[key] = set()
        deadline = time.monotonic() + RETRY_SECONDS
        while len(load.order_ids[key]) == 0 and time.monotonic() < deadline:
            _post(url, product, key, load)
        _post(url, product, key, load)


def _post(url: str, product: str, key: str, load: Load) -> None:
    body = {"customerId": "CUST-LOAD", "items": [{"productId": product, "quantity": 1}], "paymentMethod": VISA}
    started = time.monotonic()
    try:
        answer = requests.post(f"{url}/orders", json=body, headers={"Idempotency-Key": key}, timeout=GIVE_UP_SECONDS)
    except requests.RequestException:
        load.saw(0, time.monotonic() - started)
        return
    load.saw(answer.status_code, time.monotonic() - started)
    if answer.status_code == 201:
        load.order_ids[key].add(answer.json()["orderId"])
