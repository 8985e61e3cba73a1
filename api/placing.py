"""Placing an order: one write, whatever request or answer is lost or repeated.

Every order has an idempotency key: the client's, or one generated for it. The order's id is a hash of that key. So when
the id is taken, the order that has it shows why: an insert whose answer was lost, a client's retry, or a collision of
ids.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shopflow import jsontext
from shopflow.clock import Clock, HeaderFactory
from shopflow.domain import order as orders_domain
from shopflow.domain.order import EventType, Line, Order
from shopflow.domain.stock import Product
from shopflow.errors import ContractBreach, InvalidRequest, MalformedRow, Unavailable
from shopflow.log import about
from shopflow.messaging.outbox import Outbox
from shopflow.ports import Orders, Outgoing, Products

log = logging.getLogger(__name__)

MAX_QUANTITY = 1000
"""Units of one product in one order, all lines together (schemas/common.schema.json bounds a single line)."""
MAX_PROBES = 8
"""Ids tried for one key. An id has 40 bits: eight collisions in a row do not happen, even among a billion orders."""
ID_CHARACTERS = 8
HASH_BYTES = 16
MAX_AGE_MS = 1000
"""Of a product. An eventually consistent read may be as old."""
MAX_CACHED = 1000
_CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ")


class ProductNotFound(InvalidRequest):
    """An item names a product that does not exist."""


class KeyReused(InvalidRequest):
    """The idempotency key was used for another request."""


class ProductCache:
    """The products as ``POST /orders`` sees them: at most `MAX_AGE_MS` old. Thread-safe.

    It keeps only products that exist. So a flood of invented ids displaces no real product, and a new product is found
    at once.
    """

    def __init__(self, products: Products, clock: Clock) -> None:
        self._products = products
        self._clock = clock
        self._cached: dict[str, tuple[int, Product]] = {}  # when it was read, and the product; the oldest first
        self._lock = threading.Lock()

    def read(self, product_ids: Collection[str]) -> dict[str, Product]:
        """The products that exist of ``product_ids``, by id. Raises `Unavailable` and `MalformedRow`."""
        now = self._clock.now_ms()
        with self._lock:
            cached = {product_id: self._cached[product_id] for product_id in product_ids if product_id in self._cached}
        # If the clock was set back, what was read "in the future" is stale, not fresh for long.
        found = {key: product for key, (read_at, product) in cached.items() if 0 <= now - read_at < MAX_AGE_MS}
        missing = [product_id for product_id in product_ids if product_id not in found]
        if missing:
            read = self._products.read(missing, consistent=False)
            with self._lock:
                for product_id, product in read.items():
                    self._cached.pop(product_id, None)
                    self._cached[product_id] = (now, product)
                while len(self._cached) > MAX_CACHED:
                    del self._cached[next(iter(self._cached))]
            found |= read
        return found


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What the client orders. Lines of one product are merged, in the order of their first mention."""

    customer_id: str
    quantities: Mapping[str, int]
    payment_method: str | None
    email: str | None = field(repr=False)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> OrderRequest:
        """``body`` has passed its contract. Raises `InvalidRequest`."""
        quantities: dict[str, int] = {}
        for item in body["items"]:
            product_id = item["productId"]
            quantities[product_id] = quantities.get(product_id, 0) + int(item["quantity"])
            if quantities[product_id] > MAX_QUANTITY:
                raise InvalidRequest(f"items: more than {MAX_QUANTITY} of {product_id} in all")
        return cls(body["customerId"], quantities, body.get("paymentMethod"), body.get("email"))

    @property
    def hash(self) -> str:
        """128 bits of SHA-256. Without an ``email`` they are the same as before that field existed."""
        parts = [self.customer_id, list(self.quantities.items()), self.payment_method]
        text = jsontext.dumps(parts if self.email is None else [*parts, self.email])
        return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:HASH_BYTES]).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Placed:
    """The order under the key. ``replayed``: an earlier request with the same key placed it."""

    order: Order
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """The use case behind ``POST /orders``.

    ``publish`` publishes events as far as the topic accepts them. ``new_key`` returns a unique key that
    cannot be guessed.
    """

    outbox: Outbox
    products: ProductCache
    orders: Orders
    publish: Callable[[Sequence[Outgoing]], object]
    headers: HeaderFactory
    new_key: Callable[[], str]

    def place(self, body: Any, idempotency_key: str | None = None, trace_parent: str | None = None) -> Placed:
        """Place the order that ``body`` (any JSON value) asks for, within the trace of ``trace_parent``.

        Raises `InvalidRequest`, which names the field, `ProductNotFound`, or `KeyReused` when the key came with another
        body before: then nothing was saved. Raises `Unavailable` when the outcome is unknown: a retry with the same key
        is safe.
        """
        self.outbox.contracts.check_request(body)
        request = OrderRequest.from_json(body)
        key = idempotency_key or self.new_key()
        try:
            draft = self._draft(request, key, trace_parent)
        except ProductNotFound:
            earlier = self._earlier(key, request) if idempotency_key else None
            if earlier is None:
                raise
            return Placed(earlier, replayed=True)
        order, created = self._save(draft, key, request)
        replayed = order.outbox != draft.outbox
        if not replayed:  # an earlier request publishes its own event, or the relay does
            self._publish_created(created)
        return Placed(order, replayed)

    def _draft(self, request: OrderRequest, key: str, trace_parent: str | None) -> Order:
        header = self.headers.new(EventType.ORDER_CREATED, trace_parent=trace_parent)
        draft = Order(
            order_id=order_id(key, 0),
            customer_id=request.customer_id,
            lines=self._priced(request.quantities),
            created_at=header.time_ms,
            updated_at=header.time_ms,
            payment_method=request.payment_method,
            idempotency_key=key,
            request_hash=request.hash,
            email=request.email,
        )
        return orders_domain.create(draft, header)

    def _priced(self, quantities: Mapping[str, int]) -> tuple[Line, ...]:
        try:
            products = self.products.read(quantities.keys())
        except MalformedRow as malformed:  # GET /products does not show it either
            log.error("%s", malformed)
            raise ProductNotFound(f"Product not found: {min(malformed.keys)}") from None
        lines = []
        for product_id, quantity in quantities.items():
            if product_id not in products:
                raise ProductNotFound(f"Product not found: {product_id}")
            product = products[product_id]
            lines.append(Line(product_id, product.product_name, quantity, product.price))
        return tuple(lines)

    def _save(self, draft: Order, key: str, request: OrderRequest) -> tuple[Order, Outgoing]:
        """Returns the order under ``key`` (``draft``, or an earlier request's), and the event of ``draft``."""
        for probe in range(MAX_PROBES):
            order = replace(draft, order_id=order_id(key, probe))
            created = self._publishable(order)
            standing = self.orders.create(order)
            if _answers(standing, key, request):
                return standing, created
        raise Unavailable(f"no free order id in {MAX_PROBES} probes")

    def _publishable(self, order: Order) -> Outgoing:
        """The event of ``order``. Raises `InvalidRequest` when no consumer would accept it."""
        try:
            return self.outbox.outgoing(order)
        except ContractBreach as breach:
            raise InvalidRequest(f"items: cannot be ordered: {breach}") from None

    def _earlier(self, key: str, request: OrderRequest) -> Order | None:
        ids = [order_id(key, probe) for probe in range(MAX_PROBES)]
        found = self.orders.read(ids)
        return next((found[each] for each in ids if each in found and _answers(found[each], key, request)), None)

    def _publish_created(self, event: Outgoing) -> None:
        try:
            self.publish([event])
        except Exception:
            # The order is saved and the relay will publish its event. An error would make the client order again.
            log.exception("not published: stays in the outbox for the relay", extra=about(event))


def order_id(key: str, probe: int) -> str:
    """``ORD-`` and 8 characters: the id to try for ``key`` after other keys had taken ``probe`` ids before it."""
    digest = hashlib.sha256(f"{key}\n{probe}".encode()).digest()
    return "ORD-" + base64.b32encode(digest).decode().translate(_CROCKFORD)[:ID_CHARACTERS]


def _answers(standing: Order, key: str, request: OrderRequest) -> bool:
    """Whether ``request`` with ``key`` placed the order ``standing``. Raises `KeyReused`."""
    if standing.idempotency_key != key:
        return False
    if standing.request_hash != request.hash:
        raise KeyReused("Idempotency-Key: was used with another request body")
    return True
