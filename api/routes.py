"""The paths of the API that are everybody's, and what answers each."""

from __future__ import annotations

import re
from http import HTTPStatus

from api.documents import Document, Files
from api.flow import FlowStream
from api.following import Follower
from api.http_message import JSON, HttpError, Request, Response, json_response
from api.openapi import load_document
from api.placing import PlaceOrder
from api.queues import QueueWatch
from api.recent import RecentOrders
from api.routing import Route, StreamSlots, json_body, route
from api.stream import OrderStream
from api.views import audit_view, catalog_view, order_view, placed_view, product_view
from shopflow import jsontext
from shopflow.catalog import Catalog
from shopflow.clock import Clock
from shopflow.domain.order import Order
from shopflow.domain.times import to_text
from shopflow.errors import InvalidRequest
from shopflow.ports import AuditLog, Orders, Products

MAX_STREAMS = 100
MAX_FLOW_STREAMS = 50

_ORDER_ID = re.compile(r"ORD-[0-9A-Z]{8}", re.ASCII)
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


class OrderApi:
    """Placing orders, and looking at what became of them."""

    def __init__(
        self,
        *,
        place_order: PlaceOrder,
        orders: Orders,
        audit: AuditLog,
        recent: RecentOrders,
        follower: Follower,
        clock: Clock,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._place_order = place_order
        self._orders = orders
        self._audit = audit
        self._recent = recent
        self._follower = follower
        self._clock = clock
        self._slots = StreamSlots(max_streams)

    @property
    def routes(self) -> list[Route]:
        order = r"/orders/([^/]+)"
        return [
            route("POST", "/orders", self._post_order, takes_json=True),
            route("GET", order, self._get_order),
            route("GET", order + "/events", self._get_events),
            route("GET", order + "/stream", self._get_stream),
        ]

    def _post_order(self, request: Request) -> Response:
        key = _idempotency_key(request)
        placed = self._place_order.place(json_body(request), key, request.trace_parent)
        order = placed.order
        if not placed.replayed:
            self._recent.accept(order.order_id, order.created_at)
        replayed = {"Idempotent-Replayed": "true"} if placed.replayed else {}
        headers = {"Location": f"/orders/{order.order_id}", **replayed}
        return json_response(HTTPStatus.CREATED, placed_view(order), headers, order.order_id)

    def _get_order(self, _: Request, order_id: str) -> Response:
        order = self._existing(order_id)
        return json_response(HTTPStatus.OK, order_view(order), order_id=order_id)

    def _get_events(self, _: Request, order_id: str) -> Response:
        self._existing(order_id)
        entries = [audit_view(entry) for entry in self._audit.trail(order_id)]
        return json_response(HTTPStatus.OK, entries, order_id=order_id)

    def _get_stream(self, request: Request, order_id: str) -> Response:
        order = self._existing(order_id)
        return self._slots.answer(
            lambda release: OrderStream(order, self._follower, self._clock, request.hung_up, release), order_id
        )

    def _existing(self, order_id: str) -> Order:
        order = self._orders.read([order_id]).get(order_id) if _ORDER_ID.fullmatch(order_id) else None
        if order is None:
            raise HttpError(HTTPStatus.NOT_FOUND, f"Order not found: {order_id}")
        return order


class ShopApi:
    """The storefront, and what it shows beside orders."""

    def __init__(
        self,
        *,
        service: str,
        catalog: Catalog,
        products: Products,
        follower: Follower,
        queues: QueueWatch,
        files: Files,
        clock: Clock,
    ) -> None:
        self._service = service
        self._catalog = catalog
        self._products = products
        self._follower = follower
        self._queues = queues
        self._files = files
        self._clock = clock
        self._slots = StreamSlots(MAX_FLOW_STREAMS)

    @property
    def routes(self) -> list[Route]:
        catalog = Document(jsontext.dumps(catalog_view(self._catalog)).encode(), JSON)
        openapi = Document(jsontext.dumps(load_document()).encode(), JSON)
        return [
            route("GET", "/products", self._get_products),
            route("GET", "/health", self._get_health),
            route("GET", "/catalog", catalog.answer),
            route("GET", re.escape("/openapi.json"), openapi.answer),
            route("GET", "/flow/stream", self._get_flow),
            route("GET", "/", self._files.page("index.html").answer),
            route("GET", "/static/(.+)", self._files.part),
        ]

    def _get_products(self, _: Request) -> Response:
        return json_response(HTTPStatus.OK, [product_view(product) for product in self._products.all()])

    def _get_health(self, _: Request) -> Response:
        now = to_text(self._clock.now_ms())
        return json_response(HTTPStatus.OK, {"service": self._service, "status": "ok", "timestamp": now})

    def _get_flow(self, request: Request) -> Response:
        return self._slots.answer(
            lambda release: FlowStream(self._follower, self._queues, self._clock, request.hung_up, release)
        )


def _idempotency_key(request: Request) -> str | None:
    key = request.head.only("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key: must be 1-255 visible ASCII characters")
    return key
