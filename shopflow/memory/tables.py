"""What the orders and inventory tables hold, and the lock that makes a transaction over both of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

from shopflow.domain.order import Order
from shopflow.domain.stock import Product


@dataclass(frozen=True, slots=True)
class Tables:
    """The items by id. Whoever reads or writes them holds ``lock``; ``opened`` is the index of open orders."""

    orders: dict[str, Order] = field(default_factory=dict)
    opened: dict[str, int] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def put_order(self, order: Order) -> None:
        """Store ``order`` and keep the index true: only an order with an ``opened_at`` is in it."""
        self.orders[order.order_id] = order
        if order.opened_at is None:
            self.opened.pop(order.order_id, None)
        else:
            self.opened[order.order_id] = order.opened_at
