"""The meter and the emulator agree: the same calls of the ports make the same requests and consume the same units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import boto3
import pytest

from shopflow.domain import order as steps
from shopflow.domain.order import EventType, Order
from shopflow.domain.stock import Product
from shopflow.errors import Conflict
from shopflow.ports import AuditLog, Orders, Outgoing, Products, Queue, Topic
from tests.clocks import ManualClock
from tests.conformance import samples
from tests.conformance.worlds import AwsWorld
from tests.metering import Meter
from tests.system import CATALOG
from tests.taps import Tapped
from tests.twins import wire

CHARGED = {"PutItem", "UpdateItem", "TransactWriteItems", "BatchExecuteStatement", "GetItem", "Query", "Scan"}
"""The emulator reports the units of these, unless it refuses them. It reports none of a BatchGetItem."""
Seen = tuple[str, float | None]
"""A request's operation and its units; None: the emulator did not report them."""


@dataclass
class Witness:
    """Notes every request of the clients of its sessions, and the units that DynamoDB reports."""

    seen: list[Seen] = field(default_factory=list)

    def attach(self, session: boto3.session.Session) -> None:
        session.events.register("before-parameter-build.dynamodb.*", self._ask_for_units)
        session.events.register("after-call.*.*", self._note)

    def _ask_for_units(self, params: Any, model: Any, **_: object) -> None:
        if "ReturnConsumedCapacity" in model.input_shape.members:
            params["ReturnConsumedCapacity"] = "TOTAL"

    def _note(self, parsed: Any, model: Any, **_: object) -> None:
        consumed = parsed.get("ConsumedCapacity")
        tables = consumed if isinstance(consumed, list) else [consumed] if consumed else []
        self.seen.append((model.name, sum(table["CapacityUnits"] for table in tables) if tables else None))


@dataclass(frozen=True)
class Family:
    """One family of ports. ``requests()``: what they have sent so far."""

    orders: Orders
    products: Products
    audit: AuditLog
    topic: Topic
    queue: Queue
    send: Callable[[str], object]
    requests: Callable[[], list[Seen]]


@pytest.fixture
def metered() -> Family:
    clock = ManualClock()
    twins = wire(CATALOG, clock)
    seen: list[Seen] = []
    meter = Meter(twins)

    def tap(service: str, method: str, call: partial[Any]) -> Any:
        """Meters each call by itself."""
        meter.by_service.clear()
        try:
            return meter(service, method, call)
        finally:
            used = meter.usage
            ((operation, _),) = used.calls.items()
            seen.append((operation, used.write_units + used.read_units))

    def tapped(port: str, target: object) -> Any:
        return Tapped(target, "any", port, tap)

    queue = twins.queues["audit"]
    return Family(
        orders=tapped("orders", twins.orders),
        products=tapped("products", twins.products),
        audit=tapped("audit", twins.audit),
        topic=tapped("topic", twins.topic),
        queue=tapped("queue", queue),
        send=queue.send,
        requests=lambda: seen,
    )


@pytest.fixture
def witnessed(stack: Any, monkeypatch: pytest.MonkeyPatch) -> Family:
    witness = Witness()
    with _witnessed_sessions(monkeypatch, witness):
        world = AwsWorld(stack.config)
    pair, (topic, _) = world.queue(), world.topic([None])
    witness.seen.clear()
    return Family(world.orders, world.products, world.audit, topic, pair.queue, pair.send, lambda: witness.seen)


@contextmanager
def _witnessed_sessions(monkeypatch: pytest.MonkeyPatch, witness: Witness) -> Iterator[None]:
    class Session(boto3.session.Session):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            witness.attach(self)

    with monkeypatch.context() as patch:
        patch.setattr(boto3.session, "Session", Session)
        yield


def test_the_meter_counts_the_requests_that_the_adapters_send_and_the_units_that_the_emulator_charges(
    metered: Family, witnessed: Family
) -> None:
    product_id = samples.fresh_id("PROD")
    order = samples.an_order(samples.a_line(product_id))
    for family in (metered, witnessed):
        _every_call(family, order, product_id)
    counted = metered.requests()
    charged = [one for one in witnessed.requests() if one[0] != "SendMessage"]  # the test's own
    assert [operation for operation, _ in counted] == [operation for operation, _ in charged]
    reported = [(ours, theirs) for ours, theirs in zip(counted, charged, strict=True) if theirs[1] is not None]
    assert {operation for _, (operation, _) in reported} == CHARGED
    assert [ours for ours, _ in reported] == [theirs for _, theirs in reported]


def _every_call(family: Family, order: Order, product_id: str) -> None:
    """Each method that a service calls: once with success, and once refused."""
    family.products.put(Product(product_id, "Wireless Headphones", order.lines[0].unit_price, 9, 9))
    family.products.read([product_id, "PROD-NONE"])
    family.products.read([product_id], consistent=False)
    _the_saga(family, order, product_id)
    _the_log(family, order)
    family.topic.publish([Outgoing("1", EventType.ORDER_CREATED, "{}")])
    family.send("body")
    received = family.queue.receive(10, 1)
    family.queue.change_visibility(dict.fromkeys(received, 30))
    family.queue.delete(received)
    family.queue.receive(10, 0)


def _the_saga(family: Family, order: Order, product_id: str) -> None:
    orders = family.orders
    orders.create(order)
    orders.create(order)
    orders.read([order.order_id, "ORD-NONE"])
    reserved = samples.reserved(order)
    orders.commit([reserved], {product_id: -order.lines[0].quantity})
    list(orders.open_orders())
    charged = samples.charged(reserved.after)
    orders.commit([charged])
    with pytest.raises(Conflict):
        orders.commit([samples.charged(reserved.after)])
    orders.commit([steps.notify(charged.after, charged.after.updated_at + 1)])


def _the_log(family: Family, order: Order) -> None:
    event = samples.an_event(order)
    for _ in range(2):
        family.audit.insert([event], event.time_ms + 1)
    family.audit.has(order.order_id, event.event_id)
    family.audit.trail(order.order_id)
