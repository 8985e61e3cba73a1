"""The Order Service behind an HTTP API, and its relay by schedule."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest

from api import lambda_handler
from api.http_message import MAX_BODY_BYTES, Response
from api.lambda_handler import OVERLAP_MS, answer
from api.routing import Route, Router
from shopflow.clock import Clock
from shopflow.errors import Unavailable
from tests.clocks import ManualClock
from tests.unit.api.shop import OPS_TOKEN, SAMPLE, Shop

MINUTE_MS = 60_000
ORDER = json.dumps(SAMPLE)


def event(method: str, path: str, body: str | None = None, **more: Any) -> dict[str, Any]:
    """As API Gateway sends it: header names in lower case, no body at all when there is none."""
    headers = {"host": "abc.execute-api.eu-west-1.amazonaws.com"} | more.pop("headers", {})
    if body is not None:
        headers = {"content-type": "application/json"} | headers
        more["body"] = body
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}
    base = {"version": "2.0", "rawPath": path, "rawQueryString": "", "isBase64Encoded": False}
    return base | {"headers": headers, "requestContext": {"http": http}} | more


def ask(shop: Shop, method: str, path: str, body: str | None = None, **more: Any) -> Mapping[str, Any]:
    return answer(shop.parts.api.endpoint, event(method, path, body, **more))


def test_an_order_is_placed_from_text_or_base64(shop: Shop) -> None:
    encoded = base64.b64encode(ORDER.encode()).decode()
    placed = [ask(shop, "POST", "/orders", ORDER), ask(shop, "POST", "/orders", encoded, isBase64Encoded=True)]
    for order, answered in zip(shop.saved, placed, strict=True):
        assert answered["statusCode"] == 201
        assert answered["headers"]["Location"] == f"/orders/{order.order_id}"
        assert answered["headers"]["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("x" * (MAX_BODY_BYTES + 1), {}, 413),
        ("{}", {"content-type": "text/plain"}, 415),
        ("{", {}, 400),
        ("{}", {"content-encoding": "gzip"}, 415),
        ('{"customerId": "\ud800"}', {}, 400),
        (None, {"content-type": "application/json"}, 400),
    ],
)
def test_a_body_that_cannot_be_taken_is_refused(
    shop: Shop, body: str | None, headers: dict[str, str], status: int
) -> None:
    answered = ask(shop, "POST", "/orders", body, headers=headers)
    assert answered["statusCode"] == status
    assert set(json.loads(answered["body"])) == {"error"}
    assert shop.saved == []


def test_a_compressed_page_travels_as_base64_and_cookies_open_the_operators(shop: Shop) -> None:
    plain = ask(shop, "GET", "/")
    packed = ask(shop, "GET", "/", headers={"accept-encoding": "gzip"})
    assert (plain["isBase64Encoded"], packed["isBase64Encoded"]) == (False, True)
    assert gzip.decompress(base64.b64decode(packed["body"])).decode() == plain["body"]

    signed_in = ask(shop, "POST", "/ops/session", json.dumps({"token": OPS_TOKEN}))
    cookie = signed_in["headers"]["Set-Cookie"].partition(";")[0]
    assert ask(shop, "GET", "/ops/state")["statusCode"] == 401
    assert ask(shop, "GET", "/ops/state", cookies=["theme=dark", cookie])["statusCode"] == 200


def test_a_stream_is_closed_and_refused_so_that_it_holds_no_invocation() -> None:
    closed = []

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            raise AssertionError("it would never end")

        def close(self) -> None:
            closed.append(True)

    router = Router([Route("GET", "/stream", lambda _: Response(HTTPStatus.OK, Endless(), "text/event-stream"))])
    got, head = (answer(router.endpoint, event(method, "/stream")) for method in ("GET", "HEAD"))
    assert (got["statusCode"], set(json.loads(got["body"]))) == (501, {"error"})
    assert (head["statusCode"], head["body"]) == (501, "")
    assert closed == [True, True]


class Invocation:
    """Lambda's context of an invocation that starts now."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._ends = clock, clock.now_ms() + MINUTE_MS

    def get_remaining_time_in_millis(self) -> int:
        return self._ends - self._clock.now_ms()


@pytest.fixture
def shop() -> Shop:
    return Shop(ManualClock())


@pytest.fixture
def scheduled(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Invokes the shop's relay as its schedule of every minute does, with the time at which that was due (ms)."""
    monkeypatch.setattr(lambda_handler, "_service", lambda: (shop.parts, MINUTE_MS))

    def invoke(due_at: int) -> None:
        time = datetime.fromtimestamp(due_at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        lambda_handler.relay({"source": "aws.events", "time": time}, Invocation(shop.clock))

    return invoke


def opened(shop: Shop, orders: int = 1) -> int:
    """Place orders whose events are lost on their way to the topic, and return when that was."""
    shop.fail("topic.publish", Unavailable("PublishBatch"))
    for _ in range(orders):
        ask(shop, "POST", "/orders", ORDER)
    shop.instead.clear()
    assert shop.published() == []
    return shop.clock.now_ms()


@pytest.mark.parametrize("late_ms", [0, 3_000, OVERLAP_MS - 1_000])
def test_no_look_is_left_out_and_none_taken_over_and_over_however_late_the_schedule_comes(
    shop: Shop, scheduled: Callable[[int], None], late_ms: int
) -> None:
    opened_at = opened(shop)
    scheduled(opened_at + 20_000)
    assert shop.published() == []
    for minute in range(40):
        scheduled(opened_at + 58_000 + minute * MINUTE_MS + late_ms * ((minute + 1) % 2))
    looks = 6  # when the order is 30 s or 1 min, then 2, 4, 8, 16 and 32 min old
    assert looks <= len(shop.published()) <= 2 * looks


def test_a_sweep_that_is_cut_short_raises_so_that_lambda_tries_the_same_minute_again(
    shop: Shop, scheduled: Callable[[int], None]
) -> None:
    opened_at = opened(shop)
    shop.fail("orders.read", Unavailable("BatchGetItem"))
    with pytest.raises(Unavailable):
        scheduled(opened_at + 80_000)
    shop.instead.clear()
    scheduled(opened_at + 80_000)
    assert [published["eventType"] for published in shop.published()] == ["order.created"]


def test_a_sweep_ends_before_the_next_one_while_the_topic_hangs(shop: Shop, scheduled: Callable[[int], None]) -> None:
    started = opened(shop, orders=30) + MINUTE_MS
    clock = shop.clock
    assert isinstance(clock, ManualClock)

    def hang(_: partial[Any]) -> Any:
        clock.advance(6.5)
        raise Unavailable("PublishBatch: no answer")

    clock.now = started
    shop.instead["topic.publish"] = hang
    with pytest.raises(Unavailable, match="orders were not looked at"):
        scheduled(started)
    assert clock.now - started < MINUTE_MS
