"""GET /orders/:orderId/stream and GET /flow/stream: Server-Sent Events, and what is read for them, and how often."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from threading import BoundedSemaphore
from typing import Any

import pytest

from api.pollers import (
    MAX_POLLED,
    MAX_TRAIL_PAUSE_MS,
    SETTLING_MS,
    OrderPoller,
    Poller,
    QueuePoller,
    Snapshot,
    Snapshots,
)
from api.streams import (
    HEARTBEAT,
    HEARTBEAT_MS,
    MAX_FLOW_STREAMS,
    MAX_ORDER_STREAMS,
    NEWS_MS,
    FlowStream,
    OrderStream,
)
from shopflow.domain.order import Order, notify
from shopflow.errors import Unavailable
from tests.clocks import ManualClock
from tests.conformance.samples import a_placed_order, an_event, charged, made, refused, reserved
from tests.unit.api.shop import Client, Shop, serving
from tests.waiting import eventually

POLL_SECONDS = OrderPoller.seconds
UNTIL_SETTLED = round(SETTLING_MS / 1000 / POLL_SECONDS) + 1


class Polls(OrderPoller):
    """An order poller whose polls the test makes."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.clock = ManualClock()
        super().__init__(shop.orders, shop.audit, self.clock)

    def _start(self) -> None:
        """There is no thread."""

    def make(self, times: int = 1) -> None:
        for _ in range(times):
            self.poll()
            self.clock.advance(POLL_SECONDS)

    def reads_of(self, times: int) -> tuple[list[list[str]], list[str]]:
        """The ids of each read of orders, and of each read of a trail, of the next polls."""
        self.shop.calls.clear()
        self.make(times)
        return [sorted(ids) for ids in self.shop.asked("orders.read")], self.shop.asked("audit.trail")

    def recorded(self, order: Order) -> Order:
        self.shop.audit.insert([an_event(order)], stored_at=order.updated_at)
        return order

    def accepted(self) -> Order:
        """An order that this process has just accepted, recorded."""
        order = self.recorded(a_placed_order(self.shop.orders))
        self.accept(replace(order, created_at=self.clock.now_ms()))
        return order

    def watched(self, order: Order) -> Callable[[], Snapshot]:
        """What a watcher of ``order`` sees of it after a poll."""
        shown: list[Snapshots] = []
        self.subscribe(shown.append, order.order_id)
        return lambda: shown[-1][order.order_id]


@pytest.fixture
def polls(shop: Shop) -> Polls:
    return Polls(shop)


@pytest.fixture
def streamed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """What the stream of an order sends while things happen, one at each poll."""
    monkeypatch.setattr("api.streams.WAIT_SECONDS", 0)

    def watch(order: Order, *happening: Callable[[], object], seconds: float = 300) -> list[Any]:
        polls = Polls(shop)
        ends_at = polls.clock.now_ms() + seconds * 1000
        steps = iter([lambda: None, *happening])

        def hung_up(_: float) -> bool:
            next(steps, lambda: None)()
            polls.make()
            return polls.clock.now_ms() > ends_at

        with closing(OrderStream(BoundedSemaphore(), polls.clock, hung_up, order, polls)) as stream:
            pieces = list(stream)
        return [piece if piece == HEARTBEAT else json.loads(piece.removeprefix(b"data: ")) for piece in pieces]

    return watch


Streamed = Callable[..., list[Any]]


def texts(messages: list[Any]) -> list[str]:
    return [message.get("eventType") or f"{message['type']} {message['status']}" for message in messages]


def test_a_happy_order_is_shown_to_its_end(shop: Shop, polls: Polls, streamed: Streamed) -> None:
    order = a_placed_order(shop.orders)
    taken = reserved(order)
    paid = charged(taken.after)
    done = notify(paid.after, paid.after.updated_at + 5)
    messages = streamed(
        order,
        lambda: polls.recorded(order),
        lambda: made(shop.orders, taken),
        lambda: polls.recorded(taken.after),
        lambda: made(shop.orders, paid),
        lambda: polls.recorded(paid.after),
        lambda: made(shop.orders, done),
    )
    assert texts(messages) == [
        *("status PENDING", "order.created", "status INVENTORY_RESERVED", "inventory.reserved"),
        *("status PAYMENT_PROCESSED", "payment.processed", "status COMPLETED", "done COMPLETED"),
    ]


def test_an_order_is_done_when_its_customer_is_notified_or_after_a_while(
    shop: Shop, polls: Polls, streamed: Streamed
) -> None:
    order = polls.recorded(a_placed_order(shop.orders))
    failed = polls.recorded(made(shop.orders, refused(order)))
    assert texts(streamed(failed, seconds=SETTLING_MS / 1000 + 1))[-1] == "done INVENTORY_FAILED"

    notified = notify(failed, failed.updated_at + 5)
    messages = streamed(failed, lambda: None, lambda: made(shop.orders, notified))
    assert texts(messages)[-2:] == ["status INVENTORY_FAILED", "done INVENTORY_FAILED"]
    assert "notification" not in messages[0]["order"]
    assert messages[-2]["order"]["notification"]["text"] == "Insufficient stock.\nNo payment was taken."


def test_an_unfinished_order_sends_heartbeats_and_ends_in_an_error(shop: Shop, streamed: Streamed) -> None:
    *messages, last = streamed(a_placed_order(shop.orders))
    assert messages.count(HEARTBEAT) == OrderStream.limit_ms // HEARTBEAT_MS - 1
    assert last["type"] == "error"


def test_the_flow_shows_each_change_once_and_nothing_that_was_long_ago(shop: Shop, polls: Polls) -> None:
    queues = QueuePoller(dict)

    def opened() -> Callable[[], list[str]]:
        flow = FlowStream(BoundedSemaphore(), polls.clock, lambda _: False, polls, queues)
        polls.subscribe(flow.show_orders)
        flow.show_queues({})
        return lambda: texts(list(flow._new_messages()))

    news = opened()
    order = polls.accepted()
    polls.make()
    assert (news(), news()) == (["status PENDING", "order.created"], [])
    polls.recorded(made(shop.orders, reserved(order)))
    polls.make()
    assert news() == ["status INVENTORY_RESERVED", "inventory.reserved"]
    polls.clock.now = order.updated_at + NEWS_MS + 60_000
    later = opened()
    polls.make()
    assert (news(), later()) == ([], [])


def test_fifty_trackers_of_idle_orders_cost_one_read_a_poll_and_no_query(shop: Shop, polls: Polls) -> None:
    orders = [polls.recorded(a_placed_order(shop.orders)) for _ in range(50)]
    first, *_, again = [polls.watched(order) for order in [*orders, orders[0]]]
    polls.make()
    assert polls.reads_of(5) == ([sorted(order.order_id for order in orders)] * 5, [])
    polls.recorded(made(shop.orders, refused(orders[0])))
    assert polls.reads_of(1)[1] == [orders[0].order_id]
    assert first() is again()


def test_a_finished_order_is_read_once_more_and_then_left_alone(shop: Shop, polls: Polls) -> None:
    order = polls.recorded(a_placed_order(shop.orders))
    failed = polls.recorded(made(shop.orders, refused(order)))
    made(shop.orders, notify(failed, failed.updated_at + 1))
    snapshot = polls.watched(order)
    polls.make()
    assert (snapshot().complete, snapshot().settled) == (True, False)
    late = replace(an_event(failed), event_id="Z" * 26, event_type="fraud.checked")
    shop.audit.insert([late], stored_at=failed.updated_at)
    polls.make(UNTIL_SETTLED)
    assert (snapshot().settled, snapshot().entries[-1].event.event_type) == (True, "fraud.checked")
    assert polls.reads_of(5) == ([], [])


def test_in_a_flood_the_first_orders_are_followed_to_their_end_and_later_ones_take_their_places(
    shop: Shop, polls: Polls
) -> None:
    polls.subscribe(lambda _: None)
    first = [polls.accepted() for _ in range(MAX_POLLED)]
    polls.make()
    for _ in range(MAX_POLLED):
        polls.accepted()
    [read], _ = polls.reads_of(1)
    assert read == sorted(order.order_id for order in first)
    paid = polls.recorded(made(shop.orders, charged(polls.recorded(made(shop.orders, reserved(first[0]))))))
    made(shop.orders, notify(paid, paid.updated_at + 1))
    polls.make(UNTIL_SETTLED + 2)
    later = polls.accepted()
    [read], _ = polls.reads_of(1)
    assert read == sorted(order.order_id for order in [*first[1:], later])


def test_a_trail_that_cannot_be_read_is_read_again_and_hides_no_other_order(shop: Shop, polls: Polls) -> None:
    orders = sorted((polls.recorded(a_placed_order(shop.orders)) for _ in range(2)), key=lambda each: each.order_id)
    snapshots = [polls.watched(order) for order in orders]

    def trail(failure: Exception, call: partial[Any]) -> Any:
        if call.args[0] == orders[0].order_id:
            raise failure
        return call()

    for failure in (ValueError("an item that nobody can read"), Unavailable("Query events")):
        shop.instead["audit.trail"] = partial(trail, failure)
        with suppress(Unavailable):
            polls.make(5)
        assert [len(snapshot().entries) for snapshot in snapshots] == [0, 1]
    shop.instead.clear()
    polls.clock.advance(MAX_TRAIL_PAUSE_MS / 1000)
    polls.make()
    assert [len(snapshot().entries) for snapshot in snapshots] == [1, 1]


def test_a_poll_that_fails_is_followed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Poller[int]):
        seconds = 0.001
        failures: Iterator[Exception] = iter([Unavailable("away"), ValueError("a bug")])

        def _read(self, order_ids: Collection[str | None]) -> None:
            self._view += 1
            for failure in self.failures:
                raise failure

    poller, seen = Failing(0), list[int]()
    poller.subscribe(seen.append)
    eventually(lambda: len(seen) > 3)
    poller.unsubscribe(seen.append)
    assert [record.getMessage() for record in caplog.records] == ["live views are delayed: away", "a poll failed"]


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


def test_stopping_ends_the_streams_and_polling_ends_with_the_last(shop: Shop) -> None:
    def threads() -> int:
        return sum(thread.name == "poller" for thread in threading.enumerate())

    eventually(lambda: threads() == 0)  # those of earlier tests
    for _ in range(2):
        with ExitStack() as stack:
            with serving(shop) as server:
                client = Client(server)
                paths = ["/flow/stream", f"/orders/{client.post().json['orderId']}/stream"]
                streams = [messages_of(stack.enter_context(streaming(client, path))[1]) for path in paths]
                for messages in streams:
                    next(messages)
                assert threads() == 2
            for messages in streams:
                list(messages)  # it ends
        eventually(lambda: threads() == 0)
