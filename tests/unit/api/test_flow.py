"""GET /flow/stream: what happens to orders and how much waits, told to all who watch."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPResponse
from typing import Any

import pytest

from api.flow import MAX_WAITING, TIME_LIMIT_MS, Feed, FlowStream
from api.following import Change, Follower
from api.queues import QueueWatch, recent_backlogs
from api.recent import RecentOrders
from api.routes import MAX_FLOW_STREAMS
from api.sse import HEARTBEAT
from api.ticking import Held, Ticker
from shopflow.errors import Unavailable
from tests.clocks import ManualClock
from tests.conformance.samples import an_event, an_order, made, reserved
from tests.unit.api.shop import CATALOG, Client, Shop, serving
from tests.unit.api.test_bounds import eventually

SERVICES = [service.name for service in CATALOG.consumers]


@contextmanager
def flowing(client: Client) -> Iterator[Iterator[Any]]:
    """The messages of an open stream."""
    connection = client.connect()
    connection.request("GET", "/flow/stream")
    with connection.getresponse() as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        yield _messages(response)
    connection.close()


def _messages(response: HTTPResponse) -> Iterator[Any]:
    for line in response:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def until(messages: Iterator[Any], wanted: Callable[[Any], bool]) -> Any:
    return next(message for message in messages if wanted(message))


def test_the_queues_are_told_at_once_and_when_they_have_changed(client: Client, shop: Shop) -> None:
    with flowing(client) as messages:
        first = next(messages)
        assert first["type"] == "queues"
        assert list(first["queues"]) == SERVICES
        assert first["queues"]["payment"] == {"waiting": 0, "inFlight": 0, "deadLetters": 0}
        shop.dlqs["payment"].send("poison")
        changed = until(messages, lambda message: message["type"] == "queues")
        assert changed["queues"]["payment"]["deadLetters"] == 1


def test_an_order_that_is_placed_here_is_told_of_as_it_goes(client: Client, shop: Shop) -> None:
    with flowing(client) as messages:
        next(messages)
        order_id = client.post().json["orderId"]
        order = shop.tables.orders[order_id]
        event = an_event(order)
        shop.audit.insert([event], stored_at=order.updated_at)
        status = until(messages, lambda message: message["type"] == "status")
        told = until(messages, lambda message: message["type"] == "event")
        assert status == {"type": "status", "orderId": order_id, "status": "PENDING"}
        assert (told["eventId"], told["eventType"], told["orderId"]) == (event.event_id, "order.created", order_id)
        made(shop.orders, reserved(order))
        assert until(messages, lambda message: message["type"] == "status")["status"] == "INVENTORY_RESERVED"


def test_watchers_share_their_looks_at_the_queues_and_none_is_made_without_them(shop: Shop) -> None:
    clock = ManualClock()
    watch = QueueWatch(recent_backlogs(shop.backlogs, SERVICES, clock), in_background=lambda _: None)
    feeds = [Feed() for _ in range(5)]
    for feed in feeds:
        watch.listen(feed.hear_queues)
    for _ in range(3):
        watch.tick()
        clock.advance(1)
    assert [len(feed.take(0)) for feed in feeds] == [1] * 5
    assert shop.backlogs.looks == dict.fromkeys(SERVICES, 3)


def test_a_client_that_reads_too_slowly_misses_the_oldest_news_and_costs_no_more(shop: Shop) -> None:
    feed = Feed()
    order = an_order()
    for _ in range(MAX_WAITING + 10):
        feed.hear(Change(order, status_changed=True))
    assert len(feed.take(0)) == MAX_WAITING


def _stream(shop: Shop, clock: ManualClock, released: list[bool]) -> FlowStream:
    """A stream during whose every look for a hang-up fifteen seconds pass."""

    def hung_up(_: float) -> bool:
        clock.advance(15)
        return False

    follower = Follower(shop.orders, shop.audit, RecentOrders(), clock, in_background=lambda _: None)
    queues = QueueWatch(recent_backlogs(shop.backlogs, SERVICES, clock), in_background=lambda _: None)
    return FlowStream(follower, queues, clock, hung_up, lambda: released.append(True))


def test_a_stream_ends_after_its_time_and_shows_meanwhile_that_it_lives(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.flow.WAIT_SECONDS", 0)
    released: list[bool] = []
    stream = _stream(shop, ManualClock(), released)
    pieces = list(stream)
    stream.close()
    assert set(pieces) == {HEARTBEAT}
    assert len(pieces) == TIME_LIMIT_MS // 15_000 - 1
    assert released == [True]


def test_a_stream_that_was_never_read_is_closed_without_harm(shop: Shop) -> None:
    released: list[bool] = []
    _stream(shop, ManualClock(), released).close()
    assert released == [True]


def test_so_many_watchers_and_no_more(client: Client) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_FLOW_STREAMS):
            next(stack.enter_context(flowing(client)))
        refused = client.get("/flow/stream")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")


def test_the_look_ends_with_the_last_watcher_and_begins_again_with_the_next(client: Client, shop: Shop) -> None:
    def threads() -> int:
        return sum(thread.name == "ticking" for thread in threading.enumerate())

    eventually(lambda: threads() == 0)  # those of the tests before
    for _ in range(2):
        with flowing(client) as messages:
            next(messages)
            assert threads() == 2
        eventually(lambda: threads() == 0)
    looks = shop.backlogs.looks.total()
    assert client.get("/health").status == 200
    assert shop.backlogs.looks.total() == looks


def test_stopping_ends_the_flow(shop: Shop) -> None:
    with ExitStack() as stack:
        with serving(shop) as server:
            messages = stack.enter_context(flowing(Client(server)))
            next(messages)
        assert list(messages) == []


def test_a_look_that_fails_is_followed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    failures: Iterator[Exception] = iter([Unavailable("away"), ValueError("a bug")])
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        for failure in failures:
            raise failure

    ticker = Ticker(look, 0.001)
    ticker.join()
    eventually(lambda: looks > 3)
    ticker.leave()
    assert [record.getMessage() for record in caplog.records] == ["those who watch wait: away", "a look failed"]


def test_what_is_held_is_looked_up_once_until_it_is_too_old_also_when_the_clock_was_set_back() -> None:
    clock, looks = ManualClock(), iter(range(10))
    held = Held(lambda: next(looks), clock, hold_ms=1000)
    assert [held.get(), held.get()] == [0, 0]
    clock.advance(1)
    assert held.get() == 1
    clock.advance(-0.5)
    assert held.get() == 2


def test_a_tracked_order_is_told_of_as_well(client: Client, shop: Shop) -> None:
    order = shop.orders.create(replace(an_order(), order_id="ORD-00000001"))
    with flowing(client) as messages:
        next(messages)
        connection = client.connect()
        connection.request("GET", f"/orders/{order.order_id}/stream")
        with connection.getresponse():
            assert until(messages, lambda message: message["type"] == "status")["orderId"] == order.order_id
        connection.close()
