"""Hostile requests for the fuzz test: valid ones, nearly valid ones, and random bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.unit.api.shop import FINISHED_ID, OPS_TOKEN, SAMPLE

ORDER = json.dumps(SAMPLE).encode()
PATHS = (
    *("/", "/orders", "/products", "/health", "/openapi.json", "/catalog", "/flow/stream", "*", "//", "/%2e%2e/orders"),
    *("/static/app.js", "/static/..", "/static/%2e%2e/service.py", "/static/", "/ops", "/ops/session", "/ops/state"),
    *("/ops/dead-letters/payment", "/ops/dead-letters/..", "/ops/dead-letters/payment/redrive", "/ops/"),
    *(f"/orders/{order_id}{rest}" for order_id in (FINISHED_ID, "%00", "ORD-1") for rest in ("", "/events", "/stream")),
    *("/orders/", "/orders?a=b", "/health#x", "http://x/products", "http://", "https://x/", "orders", "/" + "a" * 9000),
)
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "CONNECT", "get", "G@T")
VERSIONS = ("HTTP/1.1", "HTTP/1.0", "HTTP/1.9", "HTTP/2.0", "http/1.1", "")
OPERATOR = f"Authorization: Bearer {OPS_TOKEN}"
HEADERS = (
    *("Content-Type: text/plain", "Content-Type: application/json; charset=latin-1", "Content-Encoding: gzip"),
    *("Transfer-Encoding: gzip", "Transfer-Encoding: chunked", "Expect: 100-continue", "Expect: a miracle"),
    *("Content-Length: 7", "Content-Length: -1", "Content-Length: 99999999", "Host: y", "Host: y/", "Upgrade: h2c"),
    *("Connection: close", "Connection: keep-alive, x", "Range: bytes=0-1", "If-None-Match: *"),
    *("Idempotency-Key: one", "Idempotency-Key: two", "Idempotency-Key: ", "Idempotency-Key: \xe4"),
    *("Authorization: Bearer x", "Cookie: ops=1.2", "Origin: x://y", "Accept-Encoding: gzip", "Origin: null"),
    *("Sec-Fetch-Site: cross-site", "X : y", "no colon", "X:\x01", " folded", "X: " + "y" * 17_000),
)
SCRAPS = [bytes([byte]) for byte in b'\r\n\0 \t:\x80\xff%"{[},'] + [
    *(b"\r\n", b"\r\n\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b" HTTP/1.1\r\n"),
    *(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\\ud800", b"\\u0000", b"1e999999999", b"-0", b"NaN", b"null", b"true"),
    *(b"9" * 400, b"A" * 9000, b"[" * 60_000),
]

ITEM: dict[str, Any] = {"productId": "PROD-001", "quantity": 2}
CUSTOMERS: tuple[Any, ...] = ("\u00e4\u2028\U0001f600", "", " ", "x" * 65, 7, None, [], "\0")
ITEMS: tuple[Any, ...] = ([], {}, None, [ITEM] * 50, [ITEM] * 51, [None], [[]], [ITEM | {"x": 1}])
PRODUCTS: tuple[Any, ...] = ("PROD-002", "PROD-404", "", 1, None, "\ud800")
QUANTITIES: tuple[Any, ...] = (1, 1000, 1001, 0, -1, 1.0, 1.5, True, "1", 1e300)
VALUES: tuple[Any, ...] = (
    *(SAMPLE, SAMPLE | {"paymentMethod": "pm_card_visa"}, SAMPLE | {"extra": 1}, [], None, "order", 7, {}),
    *(SAMPLE | {"customerId": value} for value in CUSTOMERS),
    *(SAMPLE | {"items": value} for value in ITEMS),
    *(SAMPLE | {"items": [ITEM | {"productId": value}]} for value in PRODUCTS),
    *(SAMPLE | {"items": [ITEM | {"quantity": value}]} for value in QUANTITIES),
    *({"all": True}, {"all": 1}, {"messageIds": ["x"]}, {"messageIds": [None]}, {"token": "x"}),
)
BODIES = (b"", b"{", b"\xff\xfe", b"[" * 60_000, *(json.dumps(value).encode() for value in VALUES))
CHUNKS = (
    b"%x\r\n%b\r\n0\r\n\r\n" % (len(ORDER), ORDER),
    b"5;a=b\r\n%b\r\n%x\r\n%b\r\n0\r\nX: y\r\n\r\n" % (ORDER[:5], len(ORDER) - 5, ORDER[5:]),
)
SCARS = st.just(b"") | st.binary(min_size=3, max_size=6)
VERSION = st.one_of(st.just("HTTP/1.1"), st.just("HTTP/1.1"), st.sampled_from(VERSIONS))
ANY_LINE = st.tuples(st.sampled_from(METHODS), st.sampled_from(PATHS), VERSION).map(" ".join)
LINES = st.one_of(st.just("POST /orders HTTP/1.1"), ANY_LINE)


def mutated(data: bytes, scars: bytes) -> bytes:
    """``data`` with one mutation for every three bytes of ``scars``: its kind, its place, and the scrap to use."""
    for what, where, which in zip(*[iter(scars)] * 3, strict=False):
        at, scrap = where * (len(data) + 1) // 256, SCRAPS[which % len(SCRAPS)]
        match what % 5:
            case 0:
                data = data[:at] + scrap + data[at:]
            case 1:
                data = data[:at] + scrap + data[at + len(scrap) :]
            case 2:
                data = data[:at] + data[at + len(scrap) :]
            case 3:
                data = data[:at] + data[max(0, at - 20) : at] * 2 + data[at:]
            case 4:
                data = data[:at]
    return data


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request in one piece or in chunks, with some headers more, whose body and then all of it is mutated."""
    if draw(st.booleans()):
        body = mutated(draw(st.sampled_from(BODIES)), draw(SCARS))
        framing = f"Content-Length: {len(body)}"
    else:
        body = draw(st.sampled_from(CHUNKS))
        framing = "Transfer-Encoding: chunked"
    more = draw(st.lists(st.one_of(st.just(OPERATOR), st.sampled_from(HEADERS)), max_size=1))
    lines = [draw(LINES), "Host: x", "Content-Type: application/json", framing, *more, "", ""]
    return mutated("\r\n".join(lines).encode("latin-1") + body, draw(SCARS))


HOSTILE: st.SearchStrategy[bytes] = st.one_of(
    requests(), requests(), requests(), st.tuples(requests(), requests()).map(b"".join), st.binary(max_size=100)
)
