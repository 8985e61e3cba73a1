"""GET /orders/:orderId/stream: Server-Sent Events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse
from itertools import chain, repeat
from typing import Any

from api.routes import MAX_STREAMS
from api.stream import HEARTBEAT, HEARTBEAT_MS, TIME_LIMIT_MS, OrderStream
from shopflow.domain import order as steps
from shopflow.domain.order import Order
from shopflow.errors import Unavailable
from shopflow.ports import AuditEntry
from tests.conformance.samples import (
    a_declined_order,
    a_placed_order,
    an_event,
    charged,
    header,
    made,
    refused,
    released,
    reserved,
)
from tests.unit.api.shop import Client, Shop, serving


class StepClock:
    """Moves on only while a stream waits."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.now


class Watching:
    """A stream without a socket: ``happening`` is what happens while it waits, one at each wait; after them, 200 ms."""

    def __init__(self, shop: Shop, order: Order, *happening: Callable[[], object], stays: bool = True) -> None:
        self._shop, self._order = shop, order
        self._clock = StepClock()
        nothing: Callable[[], object] = lambda: None  # noqa: E731
        self._steps = chain(happening, repeat(nothing) if stays else ())

    def messages(self) -> list[Any]:
        pieces = [piece for piece in self.pieces() if piece != HEARTBEAT]
        assert all(piece.startswith(b"data: ") and piece.endswith(b"\n\n") for piece in pieces)
        return [json.loads(piece.removeprefix(b"data: ")) for piece in pieces]

    def pieces(self) -> Iterator[bytes]:
        shop = self._shop
        return iter(OrderStream(self._order, shop.orders, shop.audit, self._clock, self._hung_up, lambda: None))

    def _hung_up(self, within_seconds: float) -> bool:
        self._clock.now += round(within_seconds * 1000)
        step = next(self._steps, None)
        if step:
            step()
        return step is None


def logged(shop: Shop, order: Order) -> None:
    shop.audit.insert([an_event(order)], stored_at=order.updated_at)


def told(messages: list[Any]) -> list[str]:
    return [message.get("eventType") or f"{message['type']} {message['status']}" for message in messages]


def test_a_happy_order_is_told_to_its_end(shop: Shop) -> None:
    order = a_placed_order(shop.orders)
    taken = reserved(order)
    paid = charged(taken.after)
    done = steps.notify(paid.after, paid.after.updated_at + 5)
    messages = Watching(
        shop,
        order,
        lambda: logged(shop, order),
        lambda: made(shop.orders, taken),
        lambda: logged(shop, taken.after),
        lambda: made(shop.orders, paid),
        lambda: logged(shop, paid.after),
        lambda: made(shop.orders, done),
    ).messages()
    assert told(messages) == [
        "status PENDING",
        "order.created",
        "status INVENTORY_RESERVED",
        "inventory.reserved",
        "status PAYMENT_PROCESSED",
        "payment.processed",
        "status COMPLETED",
        "done COMPLETED",
    ]


def test_messages_have_the_fields_that_the_contract_names(shop: Shop) -> None:
    order = a_placed_order(shop.orders)
    logged(shop, order)
    failed = made(shop.orders, refused(order))
    logged(shop, failed)
    status, created, _, done = Watching(shop, order).messages()
    assert set(status) == {"type", "orderId", "status", "order"}
    assert status["order"]["failureReason"] == "Insufficient stock"
    assert "outbox" not in status["order"]
    assert set(created) == {"type", "eventId", "eventType", "recordedAt"}
    assert done == {"type": "done", "status": "INVENTORY_FAILED"}


def test_an_entry_that_arrives_out_of_order_is_told_once(shop: Shop) -> None:
    order = a_placed_order(shop.orders)
    failed = made(shop.orders, refused(order))
    logged(shop, failed)
    messages = Watching(shop, order, lambda: None, lambda: logged(shop, order)).messages()
    assert told(messages) == ["status INVENTORY_FAILED", "inventory.failed", "order.created", "done INVENTORY_FAILED"]


def test_a_declined_order_is_done_only_when_its_release_is_recorded(shop: Shop) -> None:
    order = a_declined_order(shop.orders)
    for event_type in order.trail:
        shop.audit.insert([_event_of(order, event_type)], stored_at=order.updated_at)
    release = released(order)
    messages = Watching(
        shop, order, lambda: None, lambda: made(shop.orders, release), lambda: logged(shop, release.after)
    ).messages()
    assert told(messages)[-2:] == ["inventory.released", "done PAYMENT_FAILED"]


def _event_of(order: Order, event_type: steps.EventType) -> Any:
    return an_event(replace(order, outbox=header(event_type)))


def test_an_order_that_does_not_finish_ends_in_an_error(shop: Shop) -> None:
    order = a_placed_order(shop.orders)
    *_, last = Watching(shop, order).messages()
    assert last["type"] == "error"
    assert str(TIME_LIMIT_MS // 1000) in last["message"]


def test_a_silent_stream_shows_that_it_lives(shop: Shop) -> None:
    pieces = list(Watching(shop, a_placed_order(shop.orders)).pieces())
    assert pieces.count(HEARTBEAT) == TIME_LIMIT_MS // HEARTBEAT_MS - 1


def test_a_client_that_hangs_up_ends_the_stream(shop: Shop) -> None:
    messages = Watching(shop, a_placed_order(shop.orders), lambda: None, stays=False).messages()
    assert told(messages) == ["status PENDING"]


def test_a_table_that_is_away_for_a_while_only_delays_the_news(shop: Shop) -> None:
    order = a_placed_order(shop.orders)
    logged(shop, order)
    failed = made(shop.orders, refused(order))
    logged(shop, failed)
    reachable = shop.audit.trail
    failures = iter([Unavailable("Query events")] * 3)

    def trail(order_id: str) -> list[AuditEntry]:
        for failure in failures:
            raise failure
        return reachable(order_id)

    shop.audit.trail = trail  # type: ignore[method-assign]
    assert told(Watching(shop, order).messages())[-1] == "done INVENTORY_FAILED"


@contextmanager
def streaming(client: Client, order: Order) -> Iterator[tuple[HTTPConnection, HTTPResponse]]:
    with closing(client.connect()) as connection:
        connection.request("GET", f"/orders/{order.order_id}/stream")
        with connection.getresponse() as response:
            yield connection, response


def _an_order(client: Client, shop: Shop) -> Order:
    return shop.tables.orders[client.post().json["orderId"]]


def test_a_finished_order_streams_over_http_and_closes(client: Client, shop: Shop) -> None:
    order = _an_order(client, shop)
    failed = made(shop.orders, refused(order))
    for each in (order, failed):
        logged(shop, each)
    with streaming(client, order) as (_, response):
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        lines = [line for line in response.read().decode().split("\n\n") if line]
    assert json.loads(lines[-1].removeprefix("data: ")) == {"type": "done", "status": "INVENTORY_FAILED"}


def test_so_many_streams_and_no_more_and_a_closed_one_frees_its_place(client: Client, shop: Shop) -> None:
    order = _an_order(client, shop)
    with ExitStack() as stack:
        opened = [stack.enter_context(streaming(client, order)) for _ in range(MAX_STREAMS)]
        assert {response.status for _, response in opened} == {200}
        refused = client.get(f"/orders/{order.order_id}/stream")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert client.post().status == 201
        connection, response = opened[0]
        response.close()
        connection.close()
        while _status_of_stream(client, order) == 503:
            pass


def _status_of_stream(client: Client, order: Order) -> int:
    with streaming(client, order) as (_, response):
        return response.status


def test_head_of_a_stream_takes_no_place(client: Client, shop: Shop) -> None:
    order = _an_order(client, shop)
    for _ in range(MAX_STREAMS + 1):
        assert client.ask("HEAD", f"/orders/{order.order_id}/stream").status == 200


def test_stopping_ends_the_streams(shop: Shop) -> None:
    with ExitStack() as stack:
        with serving(shop) as server:
            order = _an_order(Client(server), shop)
            _, response = stack.enter_context(streaming(Client(server), order))
            assert b'"PENDING"' in response.readline()
        assert response.read() == b"\n"
