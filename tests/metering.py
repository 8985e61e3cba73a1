"""A meter for a system over the in-memory twins: which calls of AWS it would make, and what they would cost.

The meter passes every call of a port to the real adapter too. Its boto3 clients note each request and send nothing. So
a change of an adapter changes the count, with no list to keep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import boto3

from shopflow.aws.items import audit_to_item, order_to_item, product_to_item
from shopflow.aws.queues import SnsTopic, SqsQueue
from shopflow.aws.tables import DynamoAuditLog, DynamoOrders, DynamoProducts
from shopflow.domain.order import Order
from shopflow.domain.stock import Product
from shopflow.ports import AuditLog
from tests.billing import KEYS, Item, Request, Usage, usage_of
from tests.twins import Twins

NOWHERE = "http://127.0.0.1:1"
ANSWERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "BatchGetItem": lambda _: {"Responses": {}},
    "BatchExecuteStatement": lambda params: {"Responses": [{} for _ in params["Statements"]]},
    "Scan": lambda _: {"Items": []},
    "Query": lambda _: {"Items": []},
}
"""The answers that an adapter reads. In any other answer it looks for failures only, and an empty answer has none."""


class Adapters:
    """The real adapters over clients that note and do not send. ``ports`` has them under the names that taps use."""

    def __init__(self) -> None:
        self._noted: list[Request] = []
        session = boto3.session.Session("noted", "noted", region_name="us-east-1")
        session.events.register("before-parameter-build.*.*", self._note)
        session.events.register("before-call.*.*", self._answer)
        dynamodb = session.client("dynamodb", endpoint_url=NOWHERE)
        sns = session.client("sns", endpoint_url=NOWHERE)
        sqs = session.client("sqs", endpoint_url=NOWHERE)
        self.ports: Mapping[str, object] = {
            "orders": DynamoOrders(dynamodb, "orders", "inventory", "open-orders"),
            "products": DynamoProducts(dynamodb, "inventory"),
            "audit": DynamoAuditLog(dynamodb, "events"),
            "topic": SnsTopic(sns, "arn:aws:sns:us-east-1:000000000000:orders"),
            "queue": SqsQueue(sqs, f"{NOWHERE}/000000000000/queue"),
        }

    def requests(self, port: str, method: str, call: partial[Any]) -> list[Request]:
        """What the adapter sends for ``call``, as long as nothing fails."""
        self._noted.clear()
        answer = getattr(self.ports[port], method)(*call.args, **call.keywords)
        if isinstance(answer, Iterator):
            list(answer)
        return list(self._noted)

    def _note(self, params: Any, model: Any, **_: object) -> None:
        self._noted.append(Request(model.name, dict(params)))

    def _answer(self, model: Any, **_: object) -> Any:
        answer = ANSWERS.get(model.name, lambda _: {})(self._noted[-1].params)
        return SimpleNamespace(status_code=200), answer


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`tests.billing.Items` of the twins at one moment. Makes an item only when it is read."""

    orders: Mapping[str, Order]
    products: Mapping[str, Product]
    audit: AuditLog

    @classmethod
    def of(cls, twins: Twins) -> Snapshot:
        """Does not copy the audit log, because its entries never change."""
        return cls(dict(twins.tables.orders), dict(twins.tables.products), twins.audit)

    def item(self, table: str, key: Item) -> Item | None:
        if table == "events":
            trail = self.trail(key["orderId"]["S"])
            return next((item for item in trail if item["eventId"] == key["eventId"]), None)
        values, to_item = self._rows(table)
        row = values.get(key[KEYS[table][0]]["S"])
        return None if row is None else to_item(row)

    def all(self, table: str) -> list[Item]:
        values, to_item = self._rows(table)
        return [to_item(row) for row in values.values()]

    def trail(self, order_id: str) -> list[Item]:
        return [audit_to_item(entry.event, entry.stored_at) for entry in self.audit.trail(order_id)]

    def _rows(self, table: str) -> tuple[Mapping[str, Any], Callable[[Any], Item]]:
        return (self.orders, order_to_item) if table == "orders" else (self.products, product_to_item)


@dataclass
class Meter:
    """A tap (`tests.taps.Tap`) that adds up what each service's calls would use on AWS."""

    twins: Twins
    adapters: Adapters = field(default_factory=Adapters)
    by_service: defaultdict[str, Usage] = field(default_factory=lambda: defaultdict(Usage))

    @property
    def usage(self) -> Usage:
        return sum(self.by_service.values(), Usage())

    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        port, _, name = method.partition(".")
        if port not in self.adapters.ports:
            return call()
        requests, before = self.adapters.requests(port, name, call), Snapshot.of(self.twins)
        try:
            return call()
        finally:  # AWS charges a refused request too
            after = Snapshot.of(self.twins)
            for request in requests:
                self.by_service[service] += usage_of(request, before, after)
