"""The three tables in memory."""

from __future__ import annotations

from collections import UserDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from threading import Lock
from typing import Any, TypeVar

from shopflow.aws.items import (
    Item,
    all_readable,
    audit_from_item,
    audit_to_item,
    order_from_item,
    order_to_item,
    product_from_item,
    product_to_item,
    readable,
)
from shopflow.domain.event import Event
from shopflow.domain.order import Order, Transition, was_committed
from shopflow.domain.stock import Product
from shopflow.errors import Conflict
from shopflow.ports import MAX_STATEMENTS, AuditEntry, OpenOrder, check_transaction

T = TypeVar("T")


class Rows(UserDict[str, T]):
    """Values by id, stored as DynamoDB items: the real codec writes and reads them.

    ``data``: the items themselves, also for a test that damages one.
    """

    def __init__(self, to_item: Callable[[T], Item], from_item: Callable[[Item], T]) -> None:
        super().__init__()
        self.data: dict[str, Any] = {}
        self._to_item = to_item
        self._from_item = from_item

    def __getitem__(self, key: str) -> T:
        return self._from_item(self.data[key])

    def __setitem__(self, key: str, value: T) -> None:
        self.data[key] = self._to_item(value)

    def items_of(self, keys: Iterable[str]) -> list[Item]:
        """The items that exist among ``keys``."""
        return [self.data[key] for key in keys if key in self.data]


@dataclass(frozen=True, slots=True)
class Tables:
    """The rows by id. Hold ``lock`` to read or write them. ``opened`` is the index of open orders."""

    orders: Rows[Order] = field(default_factory=lambda: Rows(order_to_item, order_from_item))
    opened: dict[str, int] = field(default_factory=dict)
    products: Rows[Product] = field(default_factory=lambda: Rows(product_to_item, product_from_item))
    lock: Lock = field(default_factory=Lock)

    def put_order(self, order: Order) -> None:
        """Store ``order`` and update the index: it has the orders with an ``opened_at``."""
        self.orders[order.order_id] = order
        if order.opened_at is None:
            self.opened.pop(order.order_id, None)
        else:
            self.opened[order.order_id] = order.opened_at


class MemoryOrders:
    """`shopflow.ports.Orders` on ``tables``. The index of open orders is up to date at once."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def create(self, order: Order) -> Order:
        with self._tables.lock:
            if order.order_id not in self._tables.orders:
                self._tables.put_order(order)
            return self._standing([order.order_id])[order.order_id]

    def read(self, order_ids: Collection[str]) -> dict[str, Order]:
        with self._tables.lock:
            found = self._tables.orders.items_of(sorted(set(order_ids)))
        return {order.order_id: order for order in readable(found, order_from_item, "orders", "orderId")}

    def commit(self, transitions: Sequence[Transition], stock: Mapping[str, int] | None = None) -> None:
        units = stock or {}
        check_transaction(transitions, units)
        with self._tables.lock:
            standing = self._standing(transition.before.order_id for transition in transitions)
            failed = [one.before.order_id for one in transitions if not _is_allowed(one, standing)]
            short = frozenset(name for name, change in units.items() if self._falls_short(name, change))
            changed = {order_id: standing[order_id] for order_id in failed if order_id in standing}
            if not failed and not short:
                self._write(transitions, standing, units)
            elif not was_committed(transitions, changed):
                raise Conflict(changed, short)

    def commit_each(self, transitions: Sequence[Transition]) -> dict[str, Exception]:
        errors: dict[str, Exception] = {}
        for transition in transitions:
            try:
                self.commit([transition])
            except Exception as error:
                errors[transition.before.order_id] = error
        return errors

    def open_orders(self) -> Iterator[OpenOrder]:
        with self._tables.lock:
            entries = [OpenOrder(order_id, opened_at) for order_id, opened_at in self._tables.opened.items()]
        return iter(entries)

    def all(self) -> Iterator[Order]:
        with self._tables.lock:
            items = list(self._tables.orders.data.values())
        return readable(items, order_from_item, "orders", "orderId")

    def _standing(self, order_ids: Iterable[str]) -> dict[str, Order]:
        found = self._tables.orders.items_of(order_ids)
        return {order.order_id: order for order in all_readable(found, order_from_item, "orders", "orderId")}

    def _falls_short(self, product_id: str, change: int) -> bool:
        """Whether the condition on the product fails. A stock that is not a number is never enough."""
        stock = self._tables.products.data.get(product_id, {}).get("stock", {})
        return product_id not in self._tables.products or (change < 0 and Decimal(stock.get("N", 0)) + change < 0)

    def _write(
        self, transitions: Sequence[Transition], standing: Mapping[str, Order], units: Mapping[str, int]
    ) -> None:
        """Each transition changes only its own fields: another may have changed others since it was decided.

        Raises ``LookupError``, with nothing written, when a stock is not a number (DynamoDB: ValidationError).
        """
        products = self._tables.products.data
        stocks = {name: Decimal(products[name]["stock"]["N"]) + change for name, change in units.items()}
        for transition in transitions:
            self._tables.put_order(replace(standing[transition.before.order_id], **transition.changes()))
        for product_id, stock in stocks.items():
            products[product_id] = {**products[product_id], "stock": {"N": str(stock)}}


def _is_allowed(transition: Transition, standing: Mapping[str, Order]) -> bool:
    current = standing.get(transition.before.order_id)
    return current is not None and transition.is_allowed_on(current)


class MemoryProducts:
    """`shopflow.ports.Products` on ``tables``. Every read is consistent."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def read(self, product_ids: Collection[str], *, consistent: bool = True) -> dict[str, Product]:  # noqa: ARG002
        with self._tables.lock:
            found = self._tables.products.items_of(sorted(set(product_ids)))
        products = all_readable(found, product_from_item, "inventory", "productId")
        return {product.product_id: product for product in products}

    def all(self) -> list[Product]:
        with self._tables.lock:
            items = [item for _, item in sorted(self._tables.products.data.items())]
        return list(readable(items, product_from_item, "inventory", "productId"))

    def put(self, product: Product) -> bool:
        item = product_to_item(product)
        with self._tables.lock:
            items = self._tables.products.data
            stored = items.get(product.product_id, item)
            items[product.product_id] = {**stored, "productName": item["productName"], "price": item["price"]}
            return stored is item

    def restock(self, product_id: str, units: int) -> Product | None:
        if product_id not in self.read([product_id]):
            return None
        with self._tables.lock:
            product = self._tables.products[product_id]
            more = replace(product, stock=product.stock + units, received=product.received + units)
            self._tables.products[product_id] = more
            return more


class MemoryAuditLog:
    """`shopflow.ports.AuditLog`: nothing in it is ever changed or removed."""

    def __init__(self) -> None:
        self._trails: defaultdict[str, dict[str, Item]] = defaultdict(dict)
        self._lock = Lock()

    def insert(self, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:
        if len(events) > MAX_STATEMENTS:
            raise ValueError(f"{len(events)} events are more than {MAX_STATEMENTS}")
        with self._lock:
            for event in events:
                self._trails[event.order_id].setdefault(event.event_id, audit_to_item(event, stored_at))
        return {}

    def has(self, order_id: str, event_id: str) -> bool:
        with self._lock:
            return event_id in self._trails.get(order_id, ())

    def trail(self, order_id: str) -> list[AuditEntry]:
        with self._lock:
            items = [item for _, item in sorted(self._trails.get(order_id, {}).items())]
        return list(readable(items, audit_from_item, "events", "eventId"))
