"""Hostile requests for the fuzz test: valid ones, nearly valid ones, and random bytes."""

from __future__ import annotations

import json
from itertools import product
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.unit.api.shop import FINISHED_ID, OPS_TOKEN, SAMPLE

PATHS = (
    *("/", "/orders", "/products", "/health", "/openapi.json", "/catalog", "/flow/stream", "*", "//", "/%2e%2e/orders"),
    *("/static/app.js", "/static/..", "/static/%2e%2e/service.py", "/static/", "/ops", "/ops/session", "/ops/state"),
    *("/ops/dead-letters/payment", "/ops/dead-letters/..", "/ops/dead-letters/payment/redrive", "/ops/"),
    "/ops/dead-letters/payment/purge",
    *(f"/orders/{order_id}{rest}" for order_id in (FINISHED_ID, "%00", "ORD-1") for rest in ("", "/events", "/stream")),
    *("/orders/", "/orders?a=b", "/health#x", "http://x/products", "http://", "https://x/", "orders", "/" + "a" * 9000),
)
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "CONNECT", "get", "G@T")
VERSIONS = ("HTTP/1.1", "HTTP/1.0", "HTTP/1.9", "HTTP/2.0", "http/1.1", "")
HEADERS = [
    line.strip()
    for line in f"""
    Content-Type: application/json | Content-Type: text/plain | Content-Type: application/json; charset=latin-1
    Transfer-Encoding: gzip | Transfer-Encoding: chunked | Content-Encoding: gzip | Expect: 100-continue
    Content-Length: 7 | Content-Length: -1 | Content-Length: 99999999 | Host: y | Host: y/ | Expect: a miracle
    Connection: close | Connection: keep-alive, x | Upgrade: h2c | Range: bytes=0-1 | Accept: */* | If-None-Match: *
    Idempotency-Key: one | Idempotency-Key: two | Idempotency-Key: | Idempotency-Key: \xe4 | Accept-Encoding: gzip;q=
    Authorization: Bearer {OPS_TOKEN} | Authorization: Bearer x | Cookie: ops=1.2 | Cookie: a=b | Origin: null
    Origin: x://y | Sec-Fetch-Site: none | Sec-Fetch-Site: cross-site | X : y | no colon | X:\x01
    """.replace("|", "\n").splitlines()
    if line.strip()
] + [" folded", "X: " + "y" * 17_000]
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
ORDERS: tuple[Any, ...] = (
    *(SAMPLE, SAMPLE | {"paymentMethod": "pm_card_visa"}, SAMPLE | {"extra": 1}, [], None, "order", 7, {}),
    *(SAMPLE | {"customerId": value} for value in CUSTOMERS),
    *(SAMPLE | {"items": value} for value in ITEMS),
    *(SAMPLE | {"items": [ITEM | {"productId": value}]} for value in PRODUCTS),
    *(SAMPLE | {"items": [ITEM | {"quantity": value}]} for value in QUANTITIES),
)
OPS_BODIES: tuple[Any, ...] = ({"all": True}, {"all": 1}, {"messageIds": ["x"]}, {"messageIds": [None]}, {"token": "x"})
BODIES = (b"", b"{", b"\xff\xfe", b"[" * 60_000, *(json.dumps(order).encode() for order in ORDERS))


class Draft(NamedTuple):
    """A request before it is mutated. An ``honest`` one has the required headers and its real length."""

    line: str
    headers: tuple[str, ...] = ()
    body: bytes = b""
    honest: bool = True

    def encode(self, body_scars: bytes, scars: bytes) -> bytes:
        """The request, its body and then all of it mutated. See `mutated`."""
        body = mutated(self.body, body_scars)
        own = ("Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}") if self.honest else ()
        head = "\r\n".join([self.line, *own, *self.headers, "", ""]).encode("latin-1")
        return mutated(head + body, scars)


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


ORDER = json.dumps(SAMPLE).encode()
PLAIN = [Draft(f"{method} {path} HTTP/1.1") for method, path in product(METHODS, PATHS)]
POSTS = [Draft("POST /orders HTTP/1.1", body=body) for body in BODIES]
KEYED = [Draft("POST /orders HTTP/1.1", (f"Idempotency-Key: {key}",), ORDER) for key in ("one", "two", "", "\xe4")]
FRAMED = [
    b"%x\r\n%b\r\n0\r\n\r\n" % (len(ORDER), ORDER),
    b"5;a=b\r\n%b\r\n%x\r\n%b\r\n0\r\nX: y\r\n\r\n" % (ORDER[:5], len(ORDER) - 5, ORDER[5:]),
]
CHUNKED = [
    Draft(
        f"{start} HTTP/1.1",
        ("Host: x", "Content-Type: application/json", "Transfer-Encoding: chunked"),
        framed + after,
        honest=False,
    )
    for start, framed, after in product(("POST /orders", "GET /"), FRAMED, (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
]
OPERATORS = [
    Draft(f"{start} HTTP/1.1", (f"Authorization: Bearer {OPS_TOKEN}",), json.dumps(body).encode())
    for start, body in product(
        ("POST /ops/session", "DELETE /ops/session", "POST /ops/dead-letters/audit/redrive", "GET /ops/state"),
        OPS_BODIES,
    )
]
DRESSED = [
    Draft(f"{start} HTTP/1.1", (header,), ORDER)
    for start, header in product(("POST /orders", "GET /", "GET /ops"), HEADERS)
]
OTHERS = [
    Draft(f"{start} {version}", (), ORDER, honest)
    for start, version, honest in product(("POST /orders", "GET /health"), VERSIONS, (True, False))
]

KINDS = (PLAIN, POSTS, POSTS, CHUNKED, KEYED, OPERATORS, DRESSED, OTHERS)
DRAFTS = st.one_of(*(st.sampled_from(drafts) for drafts in KINDS))
SCARS = st.just(b"") | st.binary(min_size=3, max_size=6)
REQUESTS: st.SearchStrategy[bytes] = st.builds(Draft.encode, DRAFTS, SCARS, SCARS)
HOSTILE: st.SearchStrategy[bytes] = st.one_of(
    REQUESTS, REQUESTS, REQUESTS, st.tuples(REQUESTS, REQUESTS).map(b"".join), st.binary(max_size=100)
)
