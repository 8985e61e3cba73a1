"""What is read: orders, trails, products, health, and the documents, which are compressed and cached by the client."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPMessage
from urllib.parse import unquote

import pytest

from api.service import STATIC
from shopflow.domain.times import to_text
from shopflow.errors import Unavailable
from tests.conformance.samples import an_event, charged, made, reserved
from tests.unit.api.shop import SAMPLE, Client, Shop
from tests.unit.api.test_http import exchange, get, statuses


def test_an_order_shows_its_record_and_no_internals(client: Client, shop: Shop) -> None:
    placed = client.post({**SAMPLE, "paymentMethod": "pm_card_visa"}, idempotency_key="a-secret-key").json
    [order] = shop.saved
    path = f"/orders/{placed['orderId']}"
    created = to_text(order.created_at)
    about = {"customerId": "CUST-001", "paymentMethod": "pm_card_visa", "createdAt": created, "updatedAt": created}
    del placed["message"]
    assert client.get(path).json == placed | about
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
    assert (first["eventType"], second["eventType"]) == ("order.created", "inventory.reserved")
    assert (second["causationId"], second["payload"]["totalAmount"]) == (first["eventId"], 99.98)
    assert (second["recordedAt"], second["storedAt"]) == (to_text(event.time_ms), to_text(event.time_ms + 5))


def test_products_are_listed_by_id_and_health_answers_whatever_else_is_down(client: Client, shop: Shop) -> None:
    first, second = client.get("/products").json
    assert first == {"productId": "PROD-001", "productName": "Wireless Headphones", "price": 49.99, "stock": 15}
    assert second["productId"] == "PROD-002"
    shop.fail("orders.read", Unavailable("BatchGetItem"))
    assert client.get("/health").json["status"] == "ok"


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        *(("GET", path, 404, None) for path in ("/nowhere", "/orders/", "//orders", "/../etc/passwd")),
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


def fetch(client: Client, path: str, headers: Mapping[str, str]) -> tuple[int, HTTPMessage, bytes]:
    with closing(client.connect()) as connection:
        connection.request("GET", path, headers=dict(headers))
        with connection.getresponse() as response:
            return response.status, response.headers, response.read()


@pytest.mark.parametrize("path", ["/", "/catalog", "/openapi.json", "/static/app.js", "/static/style.css"])
def test_a_document_is_revalidated_and_not_sent_again_and_compressed_for_those_who_accept_it(
    client: Client, path: str
) -> None:
    status, headers, body = fetch(client, path, {"Accept-Encoding": "identity"})
    assert (status, headers["Cache-Control"], headers["Vary"]) == (200, "no-cache", "Accept-Encoding")
    for known in (headers["ETag"], f'"other", {headers["ETag"]}', f"W/{headers['ETag']}", "*"):
        again, its_headers, nothing = fetch(client, path, {"If-None-Match": known})
        assert (again, nothing, its_headers["ETag"]) == (304, b"", headers["ETag"])
    assert fetch(client, path, {"If-None-Match": '"other"'})[2] == body
    _, its_headers, compressed = fetch(client, path, {"Accept-Encoding": "br, GZIP;q=0.5"})
    assert gzip.decompress(compressed) == body
    assert its_headers["ETag"] != headers["ETag"]
    for refusing in ("", "br", "gzip;q=0", "xgzip"):
        assert "Content-Encoding" not in fetch(client, path, {"Accept-Encoding": refusing})[1]


OUTSIDE = (
    *("/static/", "/static/nothing.js", "/static/../routes.py", "/static/%2e%2e/routes.py", "/static//etc/passwd"),
    *("/static/./index.html", "/static/....//service.py", "/static/../../../etc/passwd", "/static/..\\routes.py"),
    *("/static/index.html", "/static/ops.html", "/static/sign-in.html", "/static"),
)


def test_no_path_leads_out_of_the_folder_and_a_page_has_only_its_own_path(client: Client) -> None:
    for target in OUTSIDE:
        assert statuses(exchange(client, get(target, "Connection: close"))) == [404], target


def test_pages_run_only_their_own_scripts(client: Client) -> None:
    for path in ("/", "/static/app.js"):
        policy = fetch(client, path, {})[1]["Content-Security-Policy"]
        for directive in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
            assert directive in policy
        assert "unsafe" not in policy
    for page in STATIC.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", text)
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text)
