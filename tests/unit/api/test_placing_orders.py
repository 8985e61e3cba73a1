"""POST /orders over real sockets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest

from api.placing import MAX_PROBES, ProductCache, order_id
from shopflow.errors import Unavailable
from shopflow.messaging.sweep import Sweep
from tests.clocks import ManualClock
from tests.conformance.samples import made, refused
from tests.unit.api.shop import HEADPHONES, SAMPLE, Client, Shop, serving


def test_an_order_is_saved_published_and_answered(client: Client, shop: Shop) -> None:
    answer = client.post()

    assert answer.status == 201
    [order] = shop.saved
    line = {"productId": "PROD-001", "productName": "Wireless Headphones", "quantity": 2}
    assert answer.json == {
        "message": "Order placed successfully",
        "orderId": order.order_id,
        "status": "PENDING",
        "totalAmount": 99.98,
        "items": [{**line, "unitPrice": 49.99, "lineTotal": 99.98}],
    }
    assert answer.headers["Location"] == f"/orders/{order.order_id}"
    [event] = shop.published()
    assert order.outbox is not None
    assert event["eventId"] == order.outbox.event_id
    assert event["payload"]["items"] == answer.json["items"]


def test_lines_of_the_same_product_are_merged_and_money_has_two_decimals(client: Client, shop: Shop) -> None:
    shop.products.put(replace(HEADPHONES, product_id="PROD-050", price=Decimal("50.00")))
    products = ["PROD-002", "PROD-050", "PROD-002"]
    answer = client.post({"customerId": "CUST-001", "items": [{"productId": each, "quantity": 1} for each in products]})
    items = [(item["productId"], item["quantity"]) for item in answer.json["items"]]
    assert items == [("PROD-002", 2), ("PROD-050", 1)]
    assert '"unitPrice": 50.00' in answer.text


ITEM = {"productId": "PROD-001", "quantity": 1}


def body(**fields: Any) -> dict[str, Any]:
    return {"customerId": "C", "items": [ITEM], **fields}


def item(**fields: Any) -> dict[str, Any]:
    return body(items=[{**ITEM, **fields}])


def raw(quantity: str) -> bytes:
    return b'{"customerId": "C", "items": [{"productId": "PROD-001", "quantity": %b}]}' % quantity.encode()


NO_ADDRESSES: list[Any] = [
    *(None, "", "customer", "a@localhost", "a b@shop.example", "a..b@shop.example", "a@-shop.example"),
    *("a@shop.example\n", "a@shop.example\r\nBcc: b@shop.example", "a@shop.example,b@shop.example"),
    *('"a"@shop.example', "=?utf-8?q?b=40shop.example=3e?=@shop.example", "b%shop.example@shop.example"),
    *("ä@shop.example", f"{'a' * 65}@shop.example", f"a@{'shop.' * 50}example"),
]
"""Also what a mail server may take for two addresses, for a header, or for a way past itself."""
BAD_BODIES: list[tuple[Any, str]] = [
    (b"", "body"),
    (b"\xff\xfe", "body"),
    (b'{"customerId": "\\ud800", "items": []}', "body"),
    ([], "body"),
    ({"items": [ITEM]}, "customerId"),
    (body(customerId=""), "customerId"),
    ({"customerId": "C"}, "items"),
    (body(items=[ITEM] * 51), "items"),
    (body(items=[{"productId": "PROD-001"}]), "items[0]"),
    *((item(quantity=quantity), "items[0].quantity") for quantity in (0, 1001, True, 1.5, "1")),
    (raw("1e999999999"), "items[0].quantity"),
    (raw("1e99999999999999999999"), "body: "),
    (raw('1, "quantity": 2'), "quantity"),
    (b'{"customerId": "C", "customerId": "C", "items": [{"productId": "PROD-001", "quantity": 1}]}', "customerId"),
    (item(price=0.01), "price"),
    (body(paymentMethod="4242 4242"), "paymentMethod"),
    (body(coupon="FREE"), "coupon"),
    *((body(email=email), "email: ") for email in NO_ADDRESSES),
    (body(items=[{**ITEM, "quantity": quantity} for quantity in (999, 2)]), "items: more than 1000 of PROD-001"),
]


def test_a_bad_body_is_refused_by_the_field_that_is_wrong(client: Client, shop: Shop) -> None:
    for body, field in BAD_BODIES:
        answer = client.post(body)
        assert (answer.status, field in answer.error) == (400, True), body
    assert shop.saved == []


@pytest.mark.parametrize("email", ["a@shop.example", "Zoe.O'Neil+shop_1@mail.shop-1.example"])
def test_the_address_is_in_the_record_of_the_order_and_nowhere_else(
    client: Client, shop: Shop, caplog: pytest.LogCaptureFixture, email: str
) -> None:
    caplog.set_level("DEBUG")
    placed = client.post({**SAMPLE, "email": email})
    [order] = shop.saved
    assert order.email == email
    made(shop.orders, refused(order))
    path = f"/orders/{order.order_id}"
    shown = [placed.text, client.get(path).text, client.get(f"{path}/events").text, str(shop.published()), repr(order)]
    with closing(client.connect()) as connection:
        connection.request("GET", f"{path}/stream")
        with connection.getresponse() as stream:
            shown.append(stream.readline().decode())
    assert not [text for text in [*shown, caplog.text] if email in text or not text]


def test_an_order_that_cannot_be_processed_is_not_saved(client: Client, shop: Shop) -> None:
    shop.products.put(replace(HEADPHONES, product_id="PROD-GOLD", price=Decimal("9999999999.99")))
    unknown = client.post(item(productId="PROD-404"))
    assert (unknown.status, unknown.error) == (404, "Product not found: PROD-404")
    too_expensive = client.post(item(productId="PROD-GOLD", quantity=1000))
    assert (too_expensive.status, too_expensive.error[:7]) == (400, "items: ")
    assert shop.saved == []


def test_the_same_key_and_body_make_one_order_and_another_body_is_refused(client: Client, shop: Shop) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post(idempotency_key="key-1"), range(24)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    other = client.post({**SAMPLE, "customerId": "CUST-002"}, idempotency_key="key-1")
    elsewhere = client.post({**SAMPLE, "email": "a@shop.example"}, idempotency_key="key-1")
    for answer in (other, elsewhere):
        assert (answer.status, answer.error.partition(":")[0]) == (422, "Idempotency-Key")
    assert len(shop.saved) == len(shop.published()) == 1
    assert shop.saved[0].request_hash == "9fPzI57Md4EsXy6k7eY51g"  # as before a request could have an email


def test_a_repetition_is_answered_at_the_first_price_and_after_the_product_has_gone(client: Client, shop: Shop) -> None:
    first = client.post(idempotency_key="key-1")
    del shop.tables.products["PROD-001"]
    shop.restart()
    with serving(shop) as server:
        again = Client(server).post(idempotency_key="key-1")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["orderId"] == first.json["orderId"]


def test_a_malformed_key_is_refused_by_name(client: Client, shop: Shop) -> None:
    for key in ("", "two words", "x" * 256, "schl\xfcssel"):
        answer = client.post(idempotency_key=key)
        assert (answer.status, answer.error.partition(":")[0]) == (400, "Idempotency-Key")
    assert shop.saved == []


def test_a_product_is_read_once_a_second_and_a_missing_one_each_time(shop: Shop) -> None:
    products, clock = mock.Mock(wraps=shop.products), ManualClock()
    cache = ProductCache(products, clock)
    for seconds, wanted in ((0.999, ["PROD-001"]), (0.001, ["PROD-001", "PROD-009"]), (-500, ["PROD-001"])):
        assert cache.read(wanted) == {"PROD-001": HEADPHONES}
        clock.advance(seconds)
    cache.read(["PROD-001"])  # a clock that is set back makes nothing last longer
    asked = [list(call.args[0]) for call in products.read.call_args_list]
    assert asked == [["PROD-001"], ["PROD-009"], ["PROD-001"], ["PROD-001"]]


def test_an_id_that_another_key_has_taken_is_passed_over_and_never_overwritten(client: Client, shop: Shop) -> None:
    client.post()
    [other] = shop.saved
    shop.orders.create(replace(other, order_id=order_id("key-1", 0)))
    answers = [client.post(idempotency_key="key-1") for _ in range(2)]
    assert {answer.json["orderId"] for answer in answers} == {order_id("key-1", 1)}
    for probe in range(MAX_PROBES):
        shop.orders.create(replace(other, order_id=order_id("key-2", probe)))
    before = shop.saved
    assert client.post(idempotency_key="key-2").status == 503
    assert shop.saved == before


def test_an_unreachable_table_is_a_503_that_says_when_to_try_again(client: Client, shop: Shop) -> None:
    for method in ("orders.create", "orders.read"):
        shop.fail(method, Unavailable("secret details of the endpoint"))
    for answer in (client.post(), client.get("/orders/ORD-00000000")):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "secret" not in answer.error


@pytest.mark.parametrize("failure", [Unavailable("SNS is down"), RuntimeError("a surprise")])
def test_a_saved_order_whose_publish_failed_is_placed(client: Client, shop: Shop, failure: Exception) -> None:
    shop.fail("topic.publish", failure)
    answer = client.post(idempotency_key="key-1")
    assert answer.status == 201
    shop.instead.clear()
    assert client.post(idempotency_key="key-1").json == answer.json
    assert shop.published() == []  # only the relay publishes it now
    shop.parts.relay.look_at(answer.json["orderId"], Sweep(None, shop.clock.now_ms()))
    assert [event["correlationId"] for event in shop.published()] == [answer.json["orderId"]]


def test_a_bug_is_a_500_without_its_traceback(client: Client, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.fail("orders.create", RuntimeError("the secret of the machine"))
    answer = client.post()
    assert (answer.status, answer.error) == (500, "internal error")
    assert "the secret of the machine" in caplog.text
