"""What makes each service use each right that it has: the main job, faults, and an operator at work.

Each function returns when all orders it made are closed and their audit trails complete, or fails.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence

import requests

from scripts.infra.stack import CREDENTIALS
from shopflow.clock import Clock, HeaderFactory, SystemClock
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Line, Order, Status, Transition, create, decline, notify, release, reserve
from shopflow.domain.stock import returned
from shopflow.messaging.outbox import stored_event
from shopflow.messaging.relay import FIRST_LOOK_SECONDS
from shopflow.ports import Outgoing
from tests.commands import Ran, run_module
from tests.faults.poison import poison_for
from tests.iam.guarded import Guarded
from tests.live import VISA, Live, eventually
from tests.system import CATALOG, CONTRACTS

NEARLY_DUE_MS = (FIRST_LOOK_SECONDS - 1) * 1000


class AMomentAgo:
    """A clock so far behind that the relay looks at its orders in a second."""

    def now_ms(self) -> int:
        return SystemClock().now_ms() - NEARLY_DUE_MS


def end_to_end(guard: Guarded) -> Ran:
    """`make e2e`, by an administrator, on the services under guard."""
    return run_module("scripts.e2e", env={**guard.env, **CREDENTIALS})


def a_killed_worker(guard: Guarded) -> None:
    """Payment dies with messages in hand, and is started again."""
    live = guard.live
    product = live.product(stock=20)
    order_ids = live.place_at_once([{product: 1}] * 10)
    guard.services["payment"].kill("payment", signal.SIGKILL)
    guard.services["payment"].start()
    assert {order.status for order in live.closed(order_ids)} == {Status.COMPLETED}


def poison(guard: Guarded) -> None:
    """Each service gives up on a message that breaks its contract."""
    consumers = [service.name for service in CATALOG.consumers]
    for service in consumers:
        guard.live.send(service, poison_for(service, random.Random(1)))
    for service in consumers:
        eventually(guard.live.aws.dead_letters(service).depth, lambda depth: depth > 0)


def what_crashes_left(live: Live) -> None:
    """Three orders whose last step a crash cut short: for the relay, for a redelivery, and for the relay again."""
    product = live.product(stock=20)
    unpublished, _ = committed(live, product, AMomentAgo())
    redelivered, events = released(live, product, AMomentAgo(), told=False)
    _publish(live, events)
    forgotten, events = released(live, product, AMomentAgo(), told=True)
    _record(live, events[:-1])
    _publish(live, events[-1:])
    live.closed([unpublished.order_id, redelivered.order_id, forgotten.order_id])


def somebody_watches(guard: Guarded) -> None:
    """The storefront's picture of the system is open in a browser."""
    with requests.get(f"{guard.live.url}/flow/stream", stream=True, timeout=10) as stream:
        lines = stream.iter_lines(chunk_size=1)  # else a quiet stream is not seen before 512 bytes of it have come
        assert any(b'"queues"' in line for line in lines)


def an_operator(guard: Guarded) -> None:
    """The operator's page, with the operator's rights alone: look at everything, send back what can be processed."""
    live = guard.live
    orders = _bury_what_can_be_processed(live)
    with guard.operators_page() as page:
        assert page.get("/ops/state")["openOrders"] is not None
        for service in CATALOG.consumers:
            shown = page.get(f"/ops/dead-letters/{service.name}")
            redrivable = [letter["messageId"] for letter in shown["letters"] if letter["redrivable"]]
            assert redrivable
            sent = page.post(f"/ops/dead-letters/{service.name}/redrive", {"messageIds": redrivable})
            assert sent["redriven"] == len(redrivable)
    live.closed(orders)


def _bury_what_can_be_processed(live: Live) -> list[str]:
    """Dead letters for every service. Returns the orders that wait for some of them."""
    product = live.product(stock=20)
    finished = live.closed([live.place({product: 1})])[0]
    waiting, created = committed(live, product, SystemClock())
    unclosed, events = released(live, product, SystemClock(), told=True)
    _record(live, [*created, *events])
    past = {entry.event.event_type: entry.event for entry in live.aws.audit.trail(finished.order_id)}
    _bury(live, "inventory", created[0], events[2])
    _bury(live, "payment", past[EventType.INVENTORY_RESERVED])
    _bury(live, "notification", past[EventType.PAYMENT_PROCESSED])
    _bury(live, "audit", past[EventType.ORDER_CREATED])
    return [waiting.order_id, unclosed.order_id]


def committed(live: Live, product: str, clock: Clock) -> tuple[Order, list[Event]]:
    """An order that is saved, with its `order.created`, which nobody has published."""
    header = HeaderFactory(clock).new(EventType.ORDER_CREATED)
    line = Line(product, "Test product", 2, live.aws.products.read([product])[product].price)
    order_id = "ORD-" + header.event_id[-8:]
    draft = Order(order_id, "CUST-TEST", (line,), header.time_ms, header.time_ms, payment_method=VISA)
    order = live.aws.orders.create(create(draft, header))
    return order, [stored_event(CATALOG, order)]


def released(live: Live, product: str, clock: Clock, *, told: bool) -> tuple[Order, list[Event]]:
    """A declined order whose stock is given back, but which is still open, with its events. None is published."""
    order, events = committed(live, product, clock)
    headers = HeaderFactory(clock)
    for step, direction in ((_reserve, -1), (_decline, 0), (_release, 1)):
        transition = step(order, headers, events[-1])
        stock = {name: direction * units for name, units in returned(order).items()} if direction else {}
        live.aws.orders.commit([transition], stock)
        order = transition.after
        events.append(stored_event(CATALOG, order))
    if told:
        live.aws.orders.commit([notify(order, SystemClock().now_ms())])
    return order, events


def _reserve(order: Order, headers: HeaderFactory, cause: Event) -> Transition:
    return reserve(order, headers.new(EventType.INVENTORY_RESERVED, cause))


def _decline(order: Order, headers: HeaderFactory, cause: Event) -> Transition:
    return decline(order, headers.new(EventType.PAYMENT_FAILED, cause), "Card expired")


def _release(order: Order, headers: HeaderFactory, cause: Event) -> Transition:
    return release(order, headers.new(EventType.INVENTORY_RELEASED, cause))


def _publish(live: Live, events: Sequence[Event]) -> None:
    batch = [Outgoing(event.event_id, event.event_type, CONTRACTS.encode(event)) for event in events]
    assert live.aws.topic.publish(batch) == frozenset()


def _record(live: Live, events: Sequence[Event]) -> None:
    """Have them in the audit log, though no other service hears of them."""
    for event in events:
        live.send("audit", CONTRACTS.encode(event))


def _bury(live: Live, service: str, *events: Event) -> None:
    """Put events that can be processed into the dead-letter queue, as a bug that is mended since would have done."""
    for event in events:
        live.sqs.send_message(QueueUrl=live.config.resources.dlq_urls[service], MessageBody=CONTRACTS.encode(event))
