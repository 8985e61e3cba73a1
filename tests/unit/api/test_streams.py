"""GET /orders/:orderId/stream and GET /flow/stream: Server-Sent Events."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest

from api.pollers import SETTLING_MS, Change
from api.streams import (
    HEARTBEAT,
    HEARTBEAT_MS,
    MAX_FLOW_STREAMS,
    MAX_ORDER_STREAMS,
    MAX_UNSENT,
    FlowStream,
    OrderStream,
)
from shopflow.domain import order as steps
from shopflow.domain.order import Order
from shopflow.errors import Unavailable
from tests.clocks import ManualClock
from tests.conformance.samples import (
    a_placed_order,
    an_event,
    an_order,
    charged,
    made,
    refused,
    reserved,
)
from tests.unit.api.shop import Client, Shop, serving
from tests.waiting import eventually

Watched = Callable[..., list[Any]]


@pytest.fixture
def watched(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """What the stream of an order sends while things happen, one at a time, 200 ms apart."""
    monkeypatch.setattr("api.streams.WAIT_SECONDS", 0)

    def watch(order: Order, *happening: Callable[[], object], seconds: float = 300) -> list[Any]:
        clock = ManualClock()
        ends_at = clock.now_ms() + seconds * 1000
        poller, steps = shop.order_poller(clock), iter([lambda: None, *happening])

        def hung_up(_: float) -> bool:
            next(steps, lambda: None)()
            clock.advance(0.2)
            with suppress(Unavailable):
                poller.poll()
            return clock.now_ms() > ends_at

        pieces = list(OrderStream(order, poller, clock, hung_up, lambda: None))
        return [piece if piece == HEARTBEAT else json.loads(piece.removeprefix(b"data: ")) for piece in pieces]

    return watch


def recorded(shop: Shop, *orders: Order) -> None:
    for order in orders:
        shop.audit.insert([an_event(order)], stored_at=order.updated_at)


def texts(messages: list[Any]) -> list[str]:
    return [message.get("eventType") or f"{message['type']} {message['status']}" for message in messages]


def test_a_happy_order_is_shown_to_its_end(shop: Shop, watched: Watched) -> None:
    order = a_placed_order(shop.orders)
    taken = reserved(order)
    paid = charged(taken.after)
    done = steps.notify(paid.after, paid.after.updated_at + 5)
    messages = watched(
        order,
        lambda: recorded(shop, order),
        lambda: made(shop.orders, taken),
        lambda: recorded(shop, taken.after),
        lambda: made(shop.orders, paid),
        lambda: recorded(shop, paid.after),
        lambda: made(shop.orders, done),
    )
    assert texts(messages) == [
        "status PENDING",
        "order.created",
        "status INVENTORY_RESERVED",
        "inventory.reserved",
        "status PAYMENT_PROCESSED",
        "payment.processed",
        "status COMPLETED",
        "done COMPLETED",
    ]


def test_an_order_is_done_when_its_customer_is_notified_or_after_a_while(shop: Shop, watched: Watched) -> None:
    order = a_placed_order(shop.orders)
    failed = made(shop.orders, refused(order))
    recorded(shop, failed, order)
    assert texts(watched(failed, seconds=SETTLING_MS / 1000 + 1))[-1] == "done INVENTORY_FAILED"

    notified = steps.notify(failed, failed.updated_at + 5)
    messages = watched(failed, lambda: None, lambda: made(shop.orders, notified))
    assert texts(messages)[-2:] == ["status INVENTORY_FAILED", "done INVENTORY_FAILED"]
    assert "notification" not in messages[0]["order"]
    assert messages[-2]["order"]["notification"]["text"] == "Insufficient stock.\nNo payment was taken."


def test_an_unfinished_order_sends_heartbeats_and_ends_in_an_error(shop: Shop, watched: Watched) -> None:
    *messages, last = watched(a_placed_order(shop.orders))
    assert messages.count(HEARTBEAT) == OrderStream.limit_ms // HEARTBEAT_MS - 1
    assert last["type"] == "error"


@contextmanager
def streaming(client: Client, path: str) -> Iterator[tuple[HTTPConnection, HTTPResponse]]:
    with closing(client.connect()) as connection:
        connection.request("GET", path)
        with connection.getresponse() as response:
            yield connection, response


def messages_of(response: HTTPResponse) -> Iterator[Any]:
    for line in response:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def first(messages: Iterator[Any], kind: str) -> Any:
    return next(message for message in messages if message["type"] == kind)


@pytest.mark.parametrize(("flow", "limit"), [(False, MAX_ORDER_STREAMS), (True, MAX_FLOW_STREAMS)])
def test_streams_are_limited_and_a_closed_one_frees_its_place(client: Client, flow: bool, limit: int) -> None:
    path = "/flow/stream" if flow else f"/orders/{client.post().json['orderId']}/stream"
    assert {client.ask("HEAD", path).status for _ in range(limit + 1)} == {200}  # takes no place
    with ExitStack() as stack:
        opened = [stack.enter_context(streaming(client, path)) for _ in range(limit)]
        assert {response.status for _, response in opened} == {200}
        refused = client.get(path)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert client.post().status == 201
        connection, response = opened[0]
        response.close()
        connection.close()

        def one_is_free() -> bool:
            with streaming(client, path) as (_, response):
                return response.status == 200

        eventually(one_is_free)


def test_stopping_ends_the_streams(shop: Shop) -> None:
    with ExitStack() as stack:
        with serving(shop) as server:
            client = Client(server)
            paths = ["/flow/stream", f"/orders/{client.post().json['orderId']}/stream"]
            streams = [messages_of(stack.enter_context(streaming(client, path))[1]) for path in paths]
            for messages in streams:
                next(messages)
        for messages in streams:
            list(messages)  # it ends


def test_polling_ends_with_the_last_watcher_and_begins_again_with_the_next(client: Client) -> None:
    def threads() -> int:
        return sum(thread.name == "poller" for thread in threading.enumerate())

    eventually(lambda: threads() == 0)  # those of earlier tests
    for _ in range(2):
        with streaming(client, "/flow/stream") as (_, response):
            next(messages_of(response))
            assert threads() == 2
        eventually(lambda: threads() == 0)


def test_a_client_that_reads_too_slowly_misses_the_oldest_messages(shop: Shop) -> None:
    clock = ManualClock()
    stream = FlowStream(shop.order_poller(clock), shop.queue_poller(), clock, lambda _: False, lambda: None)
    for _ in range(MAX_UNSENT + 10):
        stream.hear_change(Change(an_order(), status_changed=True))
    assert len(list(stream._new_messages())) == MAX_UNSENT
