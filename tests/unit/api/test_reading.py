"""What is read: orders, trails, products and health."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from shopflow.domain.times import to_text
from shopflow.errors import Unavailable
from tests.conformance.samples import an_event, charged, made, reserved
from tests.unit.api.shop import SAMPLE, Client, Shop


def test_an_order_shows_its_record_and_no_internals(client: Client, shop: Shop) -> None:
    placed = client.post({**SAMPLE, "paymentMethod": "pm_card_visa"}, idempotency_key="a-secret-key").json
    [order] = shop.saved
    path = f"/orders/{placed['orderId']}"
    assert client.get(path).json == {
        "orderId": order.order_id,
        "customerId": "CUST-001",
        "status": "PENDING",
        "items": placed["items"],
        "totalAmount": 99.98,
        "paymentMethod": "pm_card_visa",
        "createdAt": to_text(order.created_at),
        "updatedAt": to_text(order.created_at),
    }
    paid = made(shop.orders, charged(made(shop.orders, reserved(order))))
    record = client.get(path).json
    assert (record["status"], record["updatedAt"]) == ("PAYMENT_PROCESSED", to_text(paid.updated_at))
    assert (record["transactionId"], record["chargedAmount"]) == ("TXN-1", 99.98)


@pytest.mark.parametrize("order_id", ["ORD-00000000", "ORD-1", "ord-00000000", "%2e%2e", "ORD-0000000%30"])
def test_an_unknown_or_malformed_id_is_not_found(client: Client, order_id: str) -> None:
    for rest in ("", "/events", "/stream"):
        answer = client.get(f"/orders/{order_id}{rest}")
        assert (answer.status, answer.error) == (404, f"Order not found: {unquote(order_id)}")


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


def test_products_are_listed_by_id_and_health_answers_whatever_else_is_down(client: Client, shop: Shop) -> None:
    first, second = client.get("/products").json
    assert first == {"productId": "PROD-001", "productName": "Wireless Headphones", "price": 49.99, "stock": 15}
    assert second["productId"] == "PROD-002"
    shop.fail("orders.read", Unavailable("BatchGetItem"))
    health = client.get("/health")
    assert (health.json["service"], health.json["status"]) == ("order-service", "ok")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", health.json["timestamp"])


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nowhere", 404, None),
        ("GET", "/orders/", 404, None),
        ("GET", "//orders", 404, None),
        ("GET", "/../etc/passwd", 404, None),
        ("GET", "/orders", 405, "OPTIONS, POST"),
        ("DELETE", "/orders/ORD-00000000", 405, "GET, HEAD, OPTIONS"),
        ("BREW", "/", 405, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/orders", 204, "OPTIONS, POST"),
    ],
)
def test_a_path_and_a_method_that_are_not_served_are_refused(
    client: Client, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = client.ask(method, path)
    assert (answer.status, answer.headers.get("Allow")) == (status, allow)
    assert "Server" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
