"""GET /orders/:orderId/stream: Server-Sent Events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse
from itertools import chain, repeat
from typing import Any

from api.followed import SETTLING_MS
from api.following import Follower, Watch
from api.recent import RecentOrders
from api.routes import MAX_STREAMS
from api.sse import HEARTBEAT, HEARTBEAT_MS
from api.stream import TIME_LIMIT_MS, OrderStream
from shopflow.domain import order as steps
from shopflow.domain.order import Order
from shopflow.errors import Unavailable
from tests.clocks import ManualClock
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


class SteppedFollower(Follower):
    """A follower without a thread. ``happening`` is what happens while a stream waits, one at each wait; then it looks.

    A wait takes 200 ms.
    """

    def __init__(self, shop: Shop, clock: ManualClock, happening: Iterable[Callable[[], object]]) -> None:
        super().__init__(shop.orders, shop.audit, RecentOrders(), clock, in_background=lambda _: None)
        self._manual_clock = clock
        self._happening = iter(happening)
        self.over = False

    def wait(self, watch: Watch, seconds: float) -> None:
        self._manual_clock.advance(0.2)
        step = next(self._happening, None)
        if step is None:
            self.over = True
            return
        step()
        with suppress(Unavailable):
            self.tick()


class Watching:
    """A stream without a socket: ``happening`` as in `SteppedFollower`; after it nothing happens any more."""

    def __init__(self, shop: Shop, order: Order, *happening: Callable[[], object], stays: bool = True) -> None:
        nothing: Callable[[], object] = lambda: None  # noqa: E731
        self._order = order
        self._clock = ManualClock()
        self._started = self._clock.now_ms()
        self._follower = SteppedFollower(shop, self._clock, chain(happening, repeat(nothing) if stays else ()))

    def messages(self) -> list[Any]:
        pieces = [piece for piece in self.pieces() if piece != HEARTBEAT]
        assert all(piece.startswith(b"data: ") and piece.endswith(b"\n\n") for piece in pieces)
        return [json.loads(piece.removeprefix(b"data: ")) for piece in pieces]

    @property
    def seconds(self) -> float:
        """How long it has waited so far."""
        return (self._clock.now_ms() - self._started) / 1000

    def pieces(self) -> Iterator[bytes]:
        return iter(OrderStream(self._order, self._follower, self._clock, lambda _: self._follower.over, lambda: None))


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
    status, created, _, done = Watching(shop, failed).messages()
    assert set(status) == {"type", "orderId", "status", "order"}
    assert status["order"]["failureReason"] == "Insufficient stock"
    assert "outbox" not in status["order"]
    assert set(created) == {"type", "eventId", "eventType", "recordedAt"}
    assert done == {"type": "done", "status": "INVENTORY_FAILED"}


def test_an_entry_that_arrives_out_of_order_is_told_once(shop: Shop) -> None:
    order = a_placed_order(shop.orders)
    failed = made(shop.orders, refused(order))
    logged(shop, failed)
    messages = Watching(shop, failed, lambda: None, lambda: logged(shop, order)).messages()
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
    shop.audit.unavailable = shop.orders.unavailable = True

    def back() -> None:
        shop.audit.unavailable = shop.orders.unavailable = False

    assert told(Watching(shop, order, lambda: None, lambda: None, back).messages())[-1] == "done INVENTORY_FAILED"


def test_a_customer_who_is_told_late_makes_the_status_come_again_with_the_message(shop: Shop) -> None:
    order = a_placed_order(shop.orders)
    failed = made(shop.orders, refused(order))
    for each in (order, failed):
        logged(shop, each)
    tell = steps.notify(failed, failed.updated_at + 5)
    messages = Watching(shop, failed, lambda: None, lambda: made(shop.orders, tell)).messages()
    assert told(messages)[-2:] == ["status INVENTORY_FAILED", "done INVENTORY_FAILED"]
    assert "notification" not in messages[0]["order"]
    assert messages[-2]["order"]["notification"]["text"] == "Insufficient stock.\nNo payment was taken."


def test_an_order_whose_customer_is_never_told_is_done_all_the_same(shop: Shop) -> None:
    order = a_placed_order(shop.orders)
    failed = made(shop.orders, refused(order))
    for each in (order, failed):
        logged(shop, each)
    watching = Watching(shop, failed)
    assert told(watching.messages())[-1] == "done INVENTORY_FAILED"
    assert watching.seconds <= SETTLING_MS / 1000 + 1


def test_an_event_that_no_status_tells_of_is_told_too(shop: Shop) -> None:
    order = a_placed_order(shop.orders)
    failed = made(shop.orders, refused(order))
    event_id = header(steps.EventType.ORDER_CREATED).event_id
    checked = replace(an_event(order), event_id=event_id, event_type="fraud.checked", source="fraud-service")
    messages = Watching(
        shop,
        order,
        lambda: logged(shop, order),
        lambda: shop.audit.insert([checked], stored_at=order.updated_at),
        lambda: logged(shop, failed),
    ).messages()
    assert "fraud.checked" in told(messages)


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
