"""The paths of the API, and what answers each."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from api.http_message import JSON, Endpoint, HttpError, Request, Response, json_response
from api.openapi import load_document
from api.placing import KeyReused, PlaceOrder, ProductNotFound
from api.stream import OrderStream
from api.views import audit_view, order_view, placed_view, product_view
from shopflow import jsontext
from shopflow.clock import Clock
from shopflow.domain.order import Order
from shopflow.domain.times import to_text
from shopflow.errors import InvalidRequest, Unavailable
from shopflow.ports import AuditLog, Orders, Products

log = logging.getLogger(__name__)

MAX_STREAMS = 100
STATIC = Path(__file__).parent / "static"
PAGES = {"/": "index.html", "/app.js": "app.js", "/style.css": "style.css"}
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
RETRY_AFTER = {"Retry-After": "1"}

_ORDER_ID = re.compile(r"ORD-[0-9A-Z]{8}", re.ASCII)
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)

Handler = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Route:
    """``handler`` is called with the request and the groups of ``path``."""

    method: str
    path: re.Pattern[str]
    handler: Handler
    takes_json: bool = False


class Api:
    """The Order Service over its ports: what `api.http_server` serves."""

    def __init__(
        self,
        *,
        service: str,
        place_order: PlaceOrder,
        orders: Orders,
        products: Products,
        audit: AuditLog,
        clock: Clock,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._service = service
        self._place_order = place_order
        self._orders = orders
        self._products = products
        self._audit = audit
        self._clock = clock
        self._stream_slots = threading.BoundedSemaphore(max_streams)
        order = r"/orders/([^/]+)"
        self._routes = [
            _route("POST", "/orders", self._post_order, takes_json=True),
            _route("GET", order, self._get_order),
            _route("GET", order + "/events", self._get_events),
            _route("GET", order + "/stream", self._get_stream),
            _route("GET", "/products", self._get_products),
            _route("GET", "/health", self._get_health),
            _route("GET", re.escape("/openapi.json"), _document()),
            *_pages(STATIC),
        ]

    def endpoint(self, method: str, path: str) -> Endpoint:
        found = [(route, match) for route in self._routes if (match := route.path.fullmatch(path))]
        if not found and path != "*":
            raise HttpError(HTTPStatus.NOT_FOUND, f"no such path: {path}")
        allowed = _allowed({route.method for route, _ in found})
        if method == "OPTIONS":
            return Endpoint(lambda _: Response(HTTPStatus.NO_CONTENT, headers={"Allow": allowed}))
        for route, match in found:
            if route.method == ("GET" if method == "HEAD" else method):
                return Endpoint(_translating(route.handler, match.groups()), route.takes_json)
        message = f"{method} is not allowed here, but {allowed}"
        raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, message, {"Allow": allowed})

    def _post_order(self, request: Request) -> Response:
        key = _idempotency_key(request)
        try:
            body = jsontext.loads(request.body)
        except ValueError as error:
            raise InvalidRequest(f"body: is not JSON: {error}") from None
        placed = self._place_order.place(body, key)
        order_id = placed.order.order_id
        headers = {"Location": f"/orders/{order_id}"} | ({"Idempotent-Replayed": "true"} if placed.replayed else {})
        return json_response(HTTPStatus.CREATED, placed_view(placed.order), headers, order_id)

    def _get_order(self, _: Request, order_id: str) -> Response:
        order = self._existing(order_id)
        return json_response(HTTPStatus.OK, order_view(order), order_id=order_id)

    def _get_events(self, _: Request, order_id: str) -> Response:
        self._existing(order_id)
        entries = [audit_view(entry) for entry in self._audit.trail(order_id)]
        return json_response(HTTPStatus.OK, entries, order_id=order_id)

    def _get_stream(self, request: Request, order_id: str) -> Response:
        order = self._existing(order_id)
        if not self._stream_slots.acquire(blocking=False):
            raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "too many streams: try again later", RETRY_AFTER)
        release = self._stream_slots.release
        stream = OrderStream(order, self._orders, self._audit, self._clock, request.hung_up, release)
        return Response(HTTPStatus.OK, stream, "text/event-stream", {"Cache-Control": "no-store"}, order_id)

    def _get_products(self, _: Request) -> Response:
        return json_response(HTTPStatus.OK, [product_view(product) for product in self._products.all()])

    def _get_health(self, _: Request) -> Response:
        now = to_text(self._clock.now_ms())
        return json_response(HTTPStatus.OK, {"service": self._service, "status": "ok", "timestamp": now})

    def _existing(self, order_id: str) -> Order:
        order = self._orders.read([order_id]).get(order_id) if _ORDER_ID.fullmatch(order_id) else None
        if order is None:
            raise HttpError(HTTPStatus.NOT_FOUND, f"Order not found: {order_id}")
        return order


def _route(method: str, path: str, handler: Handler, *, takes_json: bool = False) -> Route:
    return Route(method, re.compile(path), handler, takes_json)


def _pages(folder: Path) -> list[Route]:
    """The storefront's files, read once: no request ever names a file."""
    return [_route("GET", re.escape(path), _page(folder / name)) for path, name in PAGES.items()]


def _page(file: Path) -> Handler:
    headers: Mapping[str, str] = {"Cache-Control": "no-cache", "Content-Security-Policy": CONTENT_SECURITY_POLICY}
    response = Response(HTTPStatus.OK, file.read_bytes(), CONTENT_TYPES[file.suffix], headers)
    return lambda _: response


def _document() -> Handler:
    body = jsontext.dumps(load_document()).encode()
    response = Response(HTTPStatus.OK, body, JSON, {"Cache-Control": "no-cache"})
    return lambda _: response


def _allowed(methods: set[str]) -> str:
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set()) | {"OPTIONS"}))


def _translating(handler: Handler, arguments: tuple[Any, ...]) -> Callable[[Request], Response]:
    """``handler`` for one request, its errors told in HTTP."""

    def answer(request: Request) -> Response:
        try:
            return handler(request, *arguments)
        except ProductNotFound as error:
            raise HttpError(HTTPStatus.NOT_FOUND, str(error)) from error
        except KeyReused as error:
            raise HttpError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        except InvalidRequest as error:
            raise HttpError(HTTPStatus.BAD_REQUEST, str(error)) from error
        except Unavailable as error:
            raise _unavailable(error) from error

    return answer


def _unavailable(error: Unavailable) -> HttpError:
    # What AWS said is for the log, not for the client.
    log.warning("unavailable: %s", error)
    return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "a dependency is unavailable: try again", RETRY_AFTER)


def _idempotency_key(request: Request) -> str | None:
    key = request.head.only("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key: must be 1-255 visible ASCII characters")
    return key
