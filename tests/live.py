"""A running ShopFlow, for tests: real processes on the applied stack, seen through its API and its tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
from mypy_boto3_sqs import SQSClient

from scripts.infra.clouds import local_client
from scripts.services import ORDER, Command, LogFiles, Services, service_commands
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import ResourceReport, inspect
from shopflow.aws.wiring import Aws, connect
from shopflow.catalog import Catalog
from shopflow.config import Config, configured_catalog, load_config
from shopflow.domain.order import LEGAL_TRAILS, Order
from shopflow.domain.stock import Product
from shopflow.invariants import Breach
from tests.addresses import address, answers, free_port
from tests.faults.checks import check_poison
from tests.stack import AppliedStack
from tests.waiting import eventually

VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"


@dataclass(frozen=True, slots=True)
class Live:
    """``config`` is what the services run with."""

    config: Config
    aws: Aws
    services: Services
    sqs: SQSClient

    @property
    def url(self) -> str:
        return f"http://{self.config.host}:{self.config.port}"

    def product(self, stock: int) -> str:
        """A new product that no other test knows. Returns its id."""
        product_id = f"P-{uuid4().hex[:12]}"
        assert self.aws.products.put(Product(product_id, "Test product", Decimal("9.99"), stock, stock))
        return product_id

    def stock(self, product_id: str) -> int:
        return self.aws.products.read([product_id])[product_id].stock

    def place(self, items: Mapping[str, int], payment_method: str = VISA, patient: bool = False, **fields: Any) -> str:
        """POST an order, with a key of its own. A ``patient`` client tries again until it is answered."""
        lines = [{"productId": name, "quantity": units} for name, units in items.items()]
        body = {"customerId": "CUST-TEST", "items": lines, "paymentMethod": payment_method, **fields}
        headers = {"Idempotency-Key": uuid4().hex}

        def attempt() -> requests.Response | None:
            try:
                return requests.post(f"{self.url}/orders", json=body, headers=headers, timeout=10)
            except requests.ConnectionError:
                return None

        answer = eventually(attempt, lambda seen: not patient or (seen is not None and seen.status_code == 201))
        assert answer is not None
        assert answer.status_code == 201, answer.text
        order_id: str = answer.json()["orderId"]
        return order_id

    def place_at_once(self, orders: Sequence[Mapping[str, int]], patient: bool = False) -> list[str]:
        with ThreadPoolExecutor(min(len(orders), 16)) as pool:
            return list(pool.map(lambda items: self.place(items, patient=patient), orders))

    def mails_to(self, address: str) -> list[dict[str, Any]]:
        """What the local AWS's Amazon SES was given for ``address``."""
        sent = requests.get(f"{self.config.endpoint_url}/_ministack/ses/messages", timeout=10).json()["messages"]
        return [mail for mails in sent.values() for mail in mails if mail["To"] == [address]]

    def read(self, order_ids: Iterable[str]) -> list[Order]:
        orders = self.aws.orders.read(list(order_ids))
        return list(orders.values())

    def closed(self, order_ids: Sequence[str]) -> list[Order]:
        """The orders, once all of them are closed and the audit trail of each is complete."""
        orders = eventually(lambda: self.read(order_ids), lambda seen: all(not one.opened_at for one in seen))
        assert len(orders) == len(set(order_ids))

        def incomplete() -> list[tuple[Any, ...]]:
            trails = [(order.status, self.trail(order.order_id)) for order in orders]
            return [trail for status, trail in trails if trail != LEGAL_TRAILS[status]]

        eventually(incomplete, lambda trails: not trails)
        return orders

    def trail(self, order_id: str) -> tuple[Any, ...]:
        return tuple(entry.event.event_type for entry in self.aws.audit.trail(order_id))

    def send(self, service: str, text: str) -> None:
        """Put a message into a service's queue, past the topic."""
        self.sqs.send_message(QueueUrl=self.config.resources.queue_urls[service], MessageBody=text)

    def findings(self) -> ResourceReport:
        return inspect(self.config)

    def queues_empty(self) -> ResourceReport:
        """What there is once no message waits or is in flight."""
        return eventually(
            self.findings, lambda seen: all(depth is not None and not depth.total for depth in seen.queues.values())
        )

    def drain(self, service: str) -> frozenset[str]:
        """Empty the dead-letter queue of ``service``. Returns the bodies of its messages."""
        letters, bodies = self.aws.dead_letters(service), set[str]()
        while received := letters.receive(10, hide_seconds=30, wait_seconds=0):
            bodies |= {letter.message.body for letter in received}
            letters.delete(received)
        return frozenset(bodies)

    def breaches_of_dead_letters(self, poison: Mapping[str, Iterable[str]]) -> Iterator[Breach]:
        """The breaches in the dead-letter queues, which are emptied. ``poison``: what each service's queue was sent."""
        for service in self.config.resources.dlq_urls:
            yield from check_poison(service, self.drain(service), frozenset(poison.get(service, ())))


QUICK = {
    "PAYMENT_LATENCY_MIN_MS": "5",
    "PAYMENT_LATENCY_MAX_MS": "20",
    "RELAY_INTERVAL_SECONDS": "1",
    "SQS_WAIT_SECONDS": "1",
    "SQS_VISIBILITY_SECONDS": "5",
    "LOG_FORMAT": "json",
}
"""With this the messages of a killed worker come again in 5 s, not in 60."""


def quick_commands(catalog: Catalog, scale: Mapping[str, int] | None = None) -> list[Command]:
    """A command for each service, the Order Service with a quick relay."""
    argv = (sys.executable, "-u", "-m", "tests.quick_relay")
    return [replace(one, argv=argv) if one.service == ORDER else one for one in service_commands(catalog, scale)]


@contextmanager
def running_services(
    applied: AppliedStack, logs: Path, *, scale: Mapping[str, int] | None = None, **settings: str
) -> Iterator[Live]:
    """All services as processes on ``applied``, which stop at the end. ``settings``: further variables for them."""
    env = {**applied.env, **QUICK, **address(free_port()), **settings}
    config = load_config(env)
    with Services(quick_commands(configured_catalog(env), scale), env, LogFiles(logs)) as services:
        services.start()
        live = Live(config, connect(config, PATIENT), services, sqs_client(config))
        eventually(lambda: answers(live.url), bool)
        yield live


def sqs_client(config: Config) -> SQSClient:
    client: SQSClient = local_client("sqs", config.endpoint_url or "")
    return client
