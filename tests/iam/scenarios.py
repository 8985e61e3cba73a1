"""What makes each service use each right that it has: orders, faults, and an operator at work.

Each function returns when all orders that it made are closed and their audit trails complete, or it fails.
"""

from __future__ import annotations

import random
import signal

import requests

from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Status
from shopflow.environment import CREDENTIALS
from tests.commands import Ran, run_module
from tests.faults.injections import poison_for
from tests.iam.guarded import Guarded
from tests.left_behind import committed, publish, record, released
from tests.live import Live
from tests.system import CATALOG, CONTRACTS
from tests.waiting import eventually


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
    """Each service gets a message that breaks its contract, which becomes a dead letter."""
    consumers = [service.name for service in CATALOG.consumers]
    for service in consumers:
        guard.live.send(service, poison_for(service, random.Random(1)))
    for service in consumers:
        eventually(guard.live.aws.dead_letters(service).depth, lambda depth: depth > 0)


def what_crashes_left(live: Live) -> None:
    """Three orders whose last step a crash prevented. The relay has to publish, to close, and to close without mail."""
    product = live.product(stock=20)
    unpublished, _ = committed(live, product)
    unnotified, events = released(live, product, notified=False)
    publish(live, events)
    unclosed, events = released(live, product, notified=True)
    record(live, events[:-1])
    publish(live, events[-1:])
    live.closed([unpublished.order_id, unnotified.order_id, unclosed.order_id])


def a_customer_with_an_address(live: Live) -> None:
    live.closed([live.place({live.product(stock=1): 1}, email="customer@shop.example")])


def somebody_watches(guard: Guarded) -> None:
    """The storefront's flow diagram is open in a browser."""
    with requests.get(f"{guard.live.url}/flow/stream", stream=True, timeout=10) as stream:
        lines = stream.iter_lines(chunk_size=1)  # else a quiet stream shows nothing until 512 bytes have come
        assert any(b'"queues"' in line for line in lines)


def an_operator(guard: Guarded) -> None:
    """On the operator's page, with the operator's rights alone: look at everything, redrive what can be processed."""
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
    waiting, created = committed(live, product)
    unclosed, events = released(live, product, notified=True)
    record(live, [*created, *events])
    past = {entry.event.event_type: entry.event for entry in live.aws.audit.trail(finished.order_id)}
    _bury(live, "inventory", created[0], events[2])
    _bury(live, "payment", past[EventType.INVENTORY_RESERVED])
    _bury(live, "notification", past[EventType.PAYMENT_PROCESSED])
    _bury(live, "audit", past[EventType.ORDER_CREATED])
    return [waiting.order_id, unclosed.order_id]


def _bury(live: Live, service: str, *events: Event) -> None:
    """Put events that can be processed into the dead-letter queue, as a bug that is fixed by now would have done."""
    for event in events:
        live.sqs.send_message(QueueUrl=live.config.resources.dlq_urls[service], MessageBody=CONTRACTS.encode(event))
