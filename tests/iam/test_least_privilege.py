"""Each service works under its own role, and uses every right that it has."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Mapping
from unittest import mock

import pytest
import requests

from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.clock import SystemClock
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Status
from shopflow.environment import CREDENTIALS
from shopflow.messaging.outbox import Publisher
from shopflow.messaging.relay import Relay
from shopflow.messaging.sweep import Sweep
from tests.commands import Ran, run_module
from tests.faults.injections import poison_for
from tests.iam.guarded import OPERATOR, RELAY, Guarded
from tests.iam.rights import Right, names
from tests.left_behind import committed, publish, record, released
from tests.live import Live
from tests.system import CATALOG, CONTRACTS, OUTBOX
from tests.waiting import eventually

ROLES = [*CATALOG.services, RELAY]
Used = Mapping[str, frozenset[Right]]


@pytest.fixture(scope="module")
def used(guard: Guarded) -> Used:
    """The rights used in the main job, in faults and in a redrive, by role."""
    ran = _end_to_end(guard)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    _a_killed_worker(guard)
    _poison(guard)
    _what_crashes_left(guard.live)
    _a_customer_with_an_address(guard.live)
    _somebody_watches(guard)
    _an_operator(guard)
    return guard.used()


@pytest.mark.parametrize("role", [*ROLES, OPERATOR])
def test_a_role_is_granted_what_it_uses_and_nothing_else(guard: Guarded, used: Used, role: str) -> None:
    granted = guard.granted(role)
    assert names(used[role] - granted) == [], "needed, but not granted"
    assert names(granted - used[role]) == [], "granted, but never used"


def test_the_relay_finishes_an_order_under_a_role_of_its_own(guard: Guarded) -> None:
    """The relay runs so where a schedule starts it."""
    with mock.patch.dict(os.environ, guard.credentials(RELAY)):
        aws = connect(guard.live.config, PATIENT)
    relay = Relay(aws.orders, aws.audit, Publisher(aws.topic), OUTBOX, SystemClock())
    order, _ = committed(guard.live, guard.live.product(stock=2))
    assert order.order_id in [entry.order_id for entry in aws.orders.open_orders()]
    relay.look_at(order.order_id, Sweep(None, SystemClock().now_ms()))
    assert guard.live.closed([order.order_id])[0].status is Status.COMPLETED


# What makes each service use each right that it has. Each function returns when all orders that it made are closed.


def _end_to_end(guard: Guarded) -> Ran:
    """`make e2e`, by an administrator, on the services under guard."""
    return run_module("scripts.e2e", env={**guard.env, **CREDENTIALS})


def _a_killed_worker(guard: Guarded) -> None:
    """Payment dies with messages in hand, and is started again."""
    live = guard.live
    product = live.product(stock=20)
    order_ids = live.place_at_once([{product: 1}] * 10)
    guard.services["payment"].kill("payment", signal.SIGKILL)
    guard.services["payment"].start()
    assert {order.status for order in live.closed(order_ids)} == {Status.COMPLETED}


def _poison(guard: Guarded) -> None:
    """Each service gets a message that breaks its contract, which becomes a dead letter."""
    consumers = [service.name for service in CATALOG.consumers]
    for service in consumers:
        guard.live.send(service, poison_for(service, random.Random(1)))
    for service in consumers:
        eventually(guard.live.aws.dead_letters(service).depth, lambda depth: depth > 0)


def _what_crashes_left(live: Live) -> None:
    """Three orders whose last step a crash prevented. The relay has to publish, to close, and to close without mail."""
    product = live.product(stock=20)
    unpublished, _ = committed(live, product)
    unnotified, events = released(live, product, notified=False)
    publish(live, events)
    unclosed, events = released(live, product, notified=True)
    record(live, events[:-1])
    publish(live, events[-1:])
    live.closed([unpublished.order_id, unnotified.order_id, unclosed.order_id])


def _a_customer_with_an_address(live: Live) -> None:
    live.closed([live.place({live.product(stock=1): 1}, email="customer@shop.example")])


def _somebody_watches(guard: Guarded) -> None:
    """The storefront's flow diagram is open in a browser."""
    with requests.get(f"{guard.live.url}/flow/stream", stream=True, timeout=10) as stream:
        lines = stream.iter_lines(chunk_size=1)  # else a quiet stream shows nothing until 512 bytes have come
        assert any(b'"queues"' in line for line in lines)


def _an_operator(guard: Guarded) -> None:
    """On the operator's page, with the operator's rights alone: look at everything, redrive what can be processed."""
    live = guard.live
    orders = _bury_what_can_be_processed(live)
    with guard.operators_page() as ask:
        assert ask("/ops/state")["openOrders"] is not None
        for service in CATALOG.consumers:
            shown = ask(f"/ops/dead-letters/{service.name}")
            redrivable = [letter["messageId"] for letter in shown["letters"] if letter["redrivable"]]
            assert redrivable
            sent = ask(f"/ops/dead-letters/{service.name}/redrive", {"messageIds": redrivable})
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
