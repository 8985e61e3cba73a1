"""The public paths of the API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from api.documents import Document, Files
from api.http_message import JSON, HttpError, Request, Response, json_response, unauthorised
from api.placing import PlaceOrder
from api.routing import Route, json_body
from api.streams import Streams
from api.views import audit_view, catalog_view, order_view, placed_view, product_view
from shopflow import jsontext
from shopflow.catalog import Catalog
from shopflow.clock import Clock
from shopflow.domain.order import Order
from shopflow.domain.times import to_text
from shopflow.errors import InvalidRequest
from shopflow.ports import AuditLog, Orders, Products

OPENAPI = Path(__file__).with_name("openapi.json")
_ORDER_ID = re.compile(r"ORD-[0-9A-Z]{8}", re.ASCII)
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


ClaimsOf = Callable[[Request], Mapping[str, Any] | None]
"""The claims in the customer's JSON Web Token (RFC 7519); None: no token is needed. Raises `HttpError` 401 or
`Unavailable`. On Lambda API Gateway's authorizer checks the token, in a process `api.tokens`, by the same rules."""


def anybody(_: Request) -> None:
    """No token is needed."""


@dataclass(frozen=True, slots=True)
class OrderApi:
    """Placing orders, and reading what became of them."""

    place_order: PlaceOrder
    orders: Orders
    audit: AuditLog
    streams: Streams
    claims_of: ClaimsOf

    @property
    def routes(self) -> list[Route]:
        order = r"/orders/([^/]+)"
        return [
            Route("POST", "/orders", self._post_order, takes_json=True),
            Route("GET", order, self._get_order),
            Route("GET", order + "/events", self._get_events),
            Route("GET", order + "/stream", self._get_stream),
        ]

    def _post_order(self, request: Request) -> Response:
        key = request.head.only("Idempotency-Key")
        if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
            raise InvalidRequest("Idempotency-Key: must be 1-255 visible ASCII characters")
        claims = self.claims_of(request)
        body = json_body(request)
        if claims is not None:
            body = _in_the_name_of(claims.get("sub"), body)
        placed = self.place_order.place(body, key, request.trace_parent)
        order = placed.order
        headers = {"Location": f"/orders/{order.order_id}"}
        if placed.replayed:
            headers["Idempotent-Replayed"] = "true"
        else:
            self.streams.accept(order)
        return json_response(HTTPStatus.CREATED, placed_view(order), headers, order.order_id)

    def _get_order(self, _: Request, order_id: str) -> Response:
        return json_response(HTTPStatus.OK, order_view(self._existing(order_id)), order_id=order_id)

    def _get_events(self, _: Request, order_id: str) -> Response:
        self._existing(order_id)
        entries = [audit_view(entry) for entry in self.audit.trail(order_id)]
        return json_response(HTTPStatus.OK, entries, order_id=order_id)

    def _get_stream(self, request: Request, order_id: str) -> Response:
        return self.streams.of_order(self._existing(order_id), request.hung_up).response(order_id)

    def _existing(self, order_id: str) -> Order:
        order = self.orders.read([order_id]).get(order_id) if _ORDER_ID.fullmatch(order_id) else None
        if order is None:
            raise HttpError(HTTPStatus.NOT_FOUND, f"Order not found: {order_id}")
        return order


def _in_the_name_of(customer_id: Any, body: Any) -> Any:
    """``body`` with the customer of the token. Raises `HttpError` 403 if it names another; it may name none."""
    if not isinstance(customer_id, str):
        raise unauthorised("the token names no customer: it has no sub")
    if not isinstance(body, dict):
        return body
    if body.get("customerId", customer_id) != customer_id:
        raise HttpError(HTTPStatus.FORBIDDEN, "customerId: is not the customer of the token. Leave it out.")
    return body | {"customerId": customer_id}


@dataclass(frozen=True, slots=True)
class ShopApi:
    """The storefront, and what it shows besides orders. ``source``: the name of the service."""

    source: str
    catalog: Catalog
    products: Products
    streams: Streams
    files: Files
    clock: Clock

    @property
    def routes(self) -> list[Route]:
        catalog = Document(jsontext.dumps(catalog_view(self.catalog)).encode(), JSON)
        openapi = Document(OPENAPI.read_bytes(), JSON)
        return [
            Route("GET", "/products", self._get_products),
            Route("GET", "/health", self._get_health),
            Route("GET", "/catalog", catalog.answer),
            Route("GET", r"/openapi\.json", openapi.answer),
            Route("GET", "/flow/stream", self._get_flow),
            Route("GET", "/", self.files.page("index.html").answer),
            Route("GET", "/static/(.+)", self.files.part),
        ]

    def _get_products(self, _: Request) -> Response:
        return json_response(HTTPStatus.OK, [product_view(product) for product in self.products.all()])

    def _get_health(self, _: Request) -> Response:
        now = to_text(self.clock.now_ms())
        return json_response(HTTPStatus.OK, {"service": self.source, "status": "ok", "timestamp": now})

    def _get_flow(self, request: Request) -> Response:
        return self.streams.of_flow(request.hung_up).response()
