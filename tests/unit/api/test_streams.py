"""GET /orders/:orderId/stream and GET /flow/stream: Server-Sent Events."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
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
    a_declined_order,
    a_placed_order,
    an_event,
    an_order,
    charged,
    header,
    made,
    refused,
    released,
    reserved,
)
from tests.unit.api.shop import CATALOG, Client, Shop, eventually, serving


class Watching:
    """A client of an order's stream. ``happening`` happens one at a time, 200 ms apart; then it watches on."""

    def __init__(self, shop: Shop, order: Order, *happening: Callable[[], object], hangs_up: bool = False) -> None:
        self._clock = ManualClock()
        self._started = self._clock.now_ms()
        self._poller = shop.order_poller(self._clock)
        self._happening = iter([lambda: None, *happening])
        self._hangs_up = hangs_up
        self._stream = OrderStream(order, self._poller, self._clock, self._hung_up, lambda: None)

    def _hung_up(self, _: float) -> bool:
        step = next(self._happening, None)
        if step is None and self._hangs_up:
            return True
        if step:
            step()
        self._clock.advance(0.2)
        with suppress(Unavailable):
            self._poller.poll()
        return False

    def pieces(self) -> list[bytes]:
        return list(self._stream)

    def messages(self) -> list[Any]:
        pieces = [piece for piece in self.pieces() if piece != HEARTBEAT]
        assert all(piece.startswith(b"data: ") and piece.endswith(b"\n\n") for piece in pieces)
        return [json.loads(piece.removeprefix(b"data: ")) for piece in pieces]

    @property
    def seconds(self) -> float:
        return (self._clock.now_ms() - self._started) / 1000


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams do not wait for what happens: the test makes it happen."""
    monkeypatch.setattr("api.streams.WAIT_SECONDS", 0)


def recorded(shop: Shop, *orders: Order) -> None:
    for order in orders:
        shop.audit.insert([an_event(order)], stored_at=order.updated_at)


def texts(messages: list[Any]) -> list[str]:
    return [message.get("eventType") or f"{message['type']} {message['status']}" for message in messages]


def failed_order(shop: Shop) -> tuple[Order, Order]:
    """An order before and after its stock was refused, both recorded."""
    order = a_placed_order(shop.orders)
    failed = made(shop.orders, refused(order))
    recorded(shop, order, failed)
    return order, failed


@pytest.mark.usefixtures("quick")
def test_a_happy_order_is_shown_to_its_end(shop: Shop) -> None:
    order = a_placed_order(shop.orders)
    taken = reserved(order)
    paid = charged(taken.after)
    done = steps.notify(paid.after, paid.after.updated_at + 5)
    messages = Watching(
        shop,
        order,
        lambda: recorded(shop, order),
        lambda: made(shop.orders, taken),
        lambda: recorded(shop, taken.after),
        lambda: made(shop.orders, paid),
        lambda: recorded(shop, paid.after),
        lambda: made(shop.orders, done),
    ).messages()
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


@pytest.mark.usefixtures("quick")
def test_an_entry_that_arrives_out_of_order_is_sent_once(shop: Shop) -> None:
    order = a_placed_order(shop.orders)
    failed = made(shop.orders, refused(order))
    recorded(shop, failed)
    messages = Watching(shop, failed, lambda: None, lambda: recorded(shop, order)).messages()
    assert texts(messages) == ["status INVENTORY_FAILED", "inventory.failed", "order.created", "done INVENTORY_FAILED"]
    status, created, *_ = messages
    assert set(status) == {"type", "orderId", "status", "order"}
    assert "outbox" not in status["order"]
    assert set(created) == {"type", "eventId", "eventType", "recordedAt"}


@pytest.mark.usefixtures("quick")
def test_a_declined_order_is_done_only_when_its_release_is_recorded(shop: Shop) -> None:
    order = a_declined_order(shop.orders)
    recorded(shop, *(replace(order, outbox=header(event_type)) for event_type in order.trail))
    release = released(order)
    messages = Watching(
        shop, order, lambda: None, lambda: made(shop.orders, release), lambda: recorded(shop, release.after)
    ).messages()
    assert texts(messages)[-2:] == ["inventory.released", "done PAYMENT_FAILED"]


@pytest.mark.usefixtures("quick")
def test_a_late_notification_sends_the_status_again(shop: Shop) -> None:
    _, failed = failed_order(shop)
    notified = steps.notify(failed, failed.updated_at + 5)
    messages = Watching(shop, failed, lambda: None, lambda: made(shop.orders, notified)).messages()
    assert texts(messages)[-2:] == ["status INVENTORY_FAILED", "done INVENTORY_FAILED"]
    assert "notification" not in messages[0]["order"]
    assert messages[-2]["order"]["notification"]["text"] == "Insufficient stock.\nNo payment was taken."


@pytest.mark.usefixtures("quick")
def test_an_order_whose_customer_is_never_notified_is_done_all_the_same(shop: Shop) -> None:
    _, failed = failed_order(shop)
    watching = Watching(shop, failed)
    assert texts(watching.messages())[-1] == "done INVENTORY_FAILED"
    assert watching.seconds <= SETTLING_MS / 1000 + 1


@pytest.mark.usefixtures("quick")
def test_an_unfinished_order_sends_heartbeats_and_ends_in_an_error(shop: Shop) -> None:
    *pieces, last = Watching(shop, a_placed_order(shop.orders)).pieces()
    assert pieces.count(HEARTBEAT) == OrderStream.limit_ms // HEARTBEAT_MS - 1
    assert b'"error"' in last


@pytest.mark.usefixtures("quick")
def test_a_client_that_hangs_up_ends_the_stream(shop: Shop) -> None:
    messages = Watching(shop, a_placed_order(shop.orders), lambda: None, hangs_up=True).messages()
    assert texts(messages) == ["status PENDING"]


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


def placed(client: Client, shop: Shop) -> Order:
    return shop.tables.orders[client.post().json["orderId"]]


@pytest.mark.parametrize(("kind", "limit"), [("order", MAX_ORDER_STREAMS), ("flow", MAX_FLOW_STREAMS)])
def test_streams_are_limited_and_a_closed_one_frees_its_place(
    client: Client, shop: Shop, kind: str, limit: int
) -> None:
    path = f"/orders/{placed(client, shop).order_id}/stream" if kind == "order" else "/flow/stream"
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


@pytest.mark.parametrize("kind", ["order", "flow"])
def test_stopping_ends_the_streams(shop: Shop, kind: str) -> None:
    with ExitStack() as stack:
        with serving(shop) as server:
            client = Client(server)
            path = f"/orders/{placed(client, shop).order_id}/stream" if kind == "order" else "/flow/stream"
            _, response = stack.enter_context(streaming(client, path))
            messages = messages_of(response)
            next(messages)
        assert list(messages) == []


def test_the_flow_shows_the_queues_at_once_and_when_they_have_changed(client: Client, shop: Shop) -> None:
    with streaming(client, "/flow/stream") as (_, response):
        messages = messages_of(response)
        shown = next(messages)
        assert (shown["type"], list(shown["queues"])) == ("queues", [service.name for service in CATALOG.consumers])
        assert shown["queues"]["payment"] == {"waiting": 0, "inFlight": 0, "deadLetters": 0}
        shop.dlqs["payment"].send("poison")
        assert first(messages, "queues")["queues"]["payment"]["deadLetters"] == 1


def test_the_flow_follows_orders_that_are_placed_or_watched(client: Client, shop: Shop) -> None:
    with streaming(client, "/flow/stream") as (_, response):
        messages = messages_of(response)
        next(messages)
        order = placed(client, shop)
        recorded(shop, order)
        assert first(messages, "status") == {"type": "status", "orderId": order.order_id, "status": "PENDING"}
        event = first(messages, "event")
        assert (event["eventId"], event["eventType"]) == (an_event(order).event_id, "order.created")
        made(shop.orders, reserved(order))
        assert first(messages, "status")["status"] == "INVENTORY_RESERVED"
        watched = shop.orders.create(replace(an_order(), order_id="ORD-00000001"))
        with streaming(client, f"/orders/{watched.order_id}/stream"):
            assert first(messages, "status")["orderId"] == watched.order_id


def test_polling_ends_with_the_last_watcher_and_begins_again_with_the_next(client: Client) -> None:
    def threads() -> int:
        return sum(thread.name == "poller" for thread in threading.enumerate())

    eventually(lambda: threads() == 0)  # those of earlier tests
    for _ in range(2):
        with streaming(client, "/flow/stream") as (_, response):
            next(messages_of(response))
            assert threads() == 2
        eventually(lambda: threads() == 0)


@pytest.mark.usefixtures("quick")
def test_the_flow_ends_at_its_time_limit_and_sends_heartbeats_until_then(shop: Shop) -> None:
    clock, released = ManualClock(), []

    def hung_up(_: float) -> bool:
        clock.advance(HEARTBEAT_MS / 1000)
        return False

    stream = FlowStream(shop.order_poller(clock), shop.queue_poller(), clock, hung_up, lambda: released.append(True))
    pieces = list(stream)
    stream.close()
    assert pieces == [HEARTBEAT] * (FlowStream.limit_ms // HEARTBEAT_MS - 1)
    assert released == [True]


def test_a_client_that_reads_too_slowly_misses_the_oldest_messages(shop: Shop) -> None:
    clock = ManualClock()
    stream = FlowStream(shop.order_poller(clock), shop.queue_poller(), clock, lambda _: False, lambda: None)
    for _ in range(MAX_UNSENT + 10):
        stream.hear_change(Change(an_order(), status_changed=True))
    assert len(list(stream._new_messages())) == MAX_UNSENT
