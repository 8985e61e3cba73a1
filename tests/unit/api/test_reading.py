"""What is read: orders, trails, products, health and the storefront."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

import pytest

from shopflow.domain.times import to_text
from tests.conformance.samples import a_declined_order as declined
from tests.conformance.samples import an_event, charged, made, released, reserved
from tests.unit.api.shop import SAMPLE, Client, Shop

ORDER_ID = re.compile(r"ORD-[0-9A-HJKMNP-TV-Z]{8}")


def test_an_order_shows_its_record_and_no_internals(client: Client, shop: Shop) -> None:
    placed = client.post({**SAMPLE, "paymentMethod": "pm_card_visa"}, idempotency_key="a-secret-key").json
    [order] = shop.saved
    answer = client.get(f"/orders/{placed['orderId']}")
    assert ORDER_ID.fullmatch(placed["orderId"])
    assert answer.json == {
        "orderId": order.order_id,
        "customerId": "CUST-001",
        "status": "PENDING",
        "items": placed["items"],
        "totalAmount": 99.98,
        "paymentMethod": "pm_card_visa",
        "createdAt": to_text(order.created_at),
        "updatedAt": to_text(order.created_at),
    }


def test_a_paid_order_shows_its_transaction(client: Client, shop: Shop) -> None:
    client.post()
    [order] = shop.saved
    paid = made(shop.orders, charged(made(shop.orders, reserved(order))))
    record = client.get(f"/orders/{order.order_id}").json
    assert record["status"] == "PAYMENT_PROCESSED"
    assert (record["transactionId"], record["chargedAmount"]) == ("TXN-1", 99.98)
    assert record["updatedAt"] == to_text(paid.updated_at)


def test_a_declined_order_shows_its_reason_and_its_release(client: Client, shop: Shop) -> None:
    client.post()
    [order] = shop.saved
    shop.tables.orders.clear()
    order = made(shop.orders, released(declined(shop.orders)))
    shop.tables.orders["ORD-00000001"] = replace(order, order_id="ORD-00000001")
    record = client.get("/orders/ORD-00000001").json
    assert record["failureReason"] == "Card expired"
    assert record["releasedAt"] == to_text(order.released_at or 0)


@pytest.mark.parametrize("order_id", ["ORD-00000000", "ORD-1", "ord-00000000", "%2e%2e", "ORD-0000000%30"])
@pytest.mark.parametrize("rest", ["", "/events", "/stream"])
def test_an_unknown_or_malformed_id_is_not_found(client: Client, order_id: str, rest: str) -> None:
    answer = client.get(f"/orders/{order_id}{rest}")
    assert answer.status == 404
    assert answer.error == f"Order not found: {unquote(order_id)}"


def test_the_trail_lists_the_audit_entries_in_order(client: Client, shop: Shop) -> None:
    client.post()
    [order] = shop.saved
    assert client.get(f"/orders/{order.order_id}/events").json == []
    later = made(shop.orders, reserved(order))
    shop.audit.insert([an_event(later), an_event(order)], stored_at=later.updated_at + 5)

    first, second = client.get(f"/orders/{order.order_id}/events").json
    event = an_event(later)
    assert first["eventType"] == "order.created"
    assert second == {
        "orderId": order.order_id,
        "eventId": event.event_id,
        "eventType": "inventory.reserved",
        "payload": second["payload"],
        "recordedAt": to_text(event.time_ms),
        "storedAt": to_text(event.time_ms + 5),
        "version": "1.0",
        "source": event.source,
        "causationId": first["eventId"],
    }
    assert second["payload"]["totalAmount"] == 99.98


def test_products_are_listed_by_id_with_price_and_stock(client: Client) -> None:
    answer = client.get("/products")
    assert [product["productId"] for product in answer.json] == ["PROD-001", "PROD-002"]
    assert answer.json[0] == {
        "productId": "PROD-001",
        "productName": "Wireless Headphones",
        "price": 49.99,
        "stock": 15,
    }


def test_health_names_the_service_and_the_time(client: Client, shop: Shop) -> None:
    shop.orders.unavailable = True  # alive, whatever else is down
    body = client.get("/health").json
    assert (body["service"], body["status"]) == ("order-service", "ok")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["timestamp"])


def test_no_answer_tells_what_the_server_is_made_of(client: Client) -> None:
    for answer in (client.get("/health"), client.get("/nowhere")):
        assert "Server" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/nowhere", "/orders/", "//orders", "/../etc/passwd", "/orders/a/b/c"])
def test_an_unknown_path_is_not_found(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 404
    assert answer.error


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/orders", "OPTIONS, POST"),
        ("DELETE", "/orders/ORD-00000000", "GET, HEAD, OPTIONS"),
        ("PUT", "/products", "GET, HEAD, OPTIONS"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
        ("BREW", "/", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(client: Client, method: str, path: str, allow: str) -> None:
    answer = client.ask(method, path)
    assert answer.status == 405
    assert answer.headers["Allow"] == allow
    assert method in answer.error


def test_options_tells_the_methods(client: Client) -> None:
    answer = client.ask("OPTIONS", "/orders")
    assert (answer.status, answer.text, answer.headers["Allow"]) == (204, "", "OPTIONS, POST")


def test_head_is_get_without_the_body(client: Client) -> None:
    head, get = client.ask("HEAD", "/products"), client.get("/products")
    assert (head.status, head.text) == (200, "")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
