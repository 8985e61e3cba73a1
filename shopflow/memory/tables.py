"""What the orders and inventory tables hold, and the lock that makes a transaction over both of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

from shopflow.aws.items import Item, order_from_item, order_to_item, product_from_item, product_to_item
from shopflow.domain.order import Order
from shopflow.domain.stock import Product

T = TypeVar("T")


class Rows(MutableMapping[str, T], Generic[T]):
    """Values by id, kept as DynamoDB items: what goes in comes out as the real codec writes and reads it.

    ``items_by_id`` has the items themselves, for a test that spoils one.
    """

    def __init__(self, to_item: Callable[[T], Item], from_item: Callable[[Item], T]) -> None:
        self.items_by_id: dict[str, Item] = {}
        self._to_item = to_item
        self._from_item = from_item

    def __getitem__(self, key: str) -> T:
        return self._from_item(self.items_by_id[key])

    def __setitem__(self, key: str, value: T) -> None:
        self.items_by_id[key] = self._to_item(value)

    def __delitem__(self, key: str) -> None:
        del self.items_by_id[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.items_by_id)

    def __len__(self) -> int:
        return len(self.items_by_id)

    def __contains__(self, key: object) -> bool:
        return key in self.items_by_id


@dataclass(frozen=True, slots=True)
class Tables:
    """The rows by id. Whoever reads or writes them holds ``lock``; ``opened`` is the index of open orders."""

    orders: Rows[Order] = field(default_factory=lambda: Rows(order_to_item, order_from_item))
    opened: dict[str, int] = field(default_factory=dict)
    products: Rows[Product] = field(default_factory=lambda: Rows(product_to_item, product_from_item))
    lock: Lock = field(default_factory=Lock)

    def put_order(self, order: Order) -> None:
        """Store ``order`` and keep the index true: only an order with an ``opened_at`` is in it."""
        self.orders[order.order_id] = order
        if order.opened_at is None:
            self.opened.pop(order.order_id, None)
        else:
            self.opened[order.order_id] = order.opened_at
