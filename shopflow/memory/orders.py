"""The orders table in memory, and the transaction that it shares with the inventory table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from shopflow.aws.items import all_readable, order_from_item, readable
from shopflow.domain.order import Order, Transition, was_committed
from shopflow.errors import Conflict
from shopflow.memory.tables import Tables
from shopflow.ports import OpenOrder, check_transaction

TABLE = "orders"


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
            items = self._tables.orders.items_by_id
            found = [items[order_id] for order_id in sorted(set(order_ids)) if order_id in items]
        return {order.order_id: order for order in readable(found, order_from_item, TABLE, "orderId")}

    def commit(self, transitions: Sequence[Transition], stock: Mapping[str, int] | None = None) -> None:
        units = stock or {}
        check_transaction(transitions, units)
        with self._tables.lock:
            standing = self._standing(transition.before.order_id for transition in transitions)
            failed = [transition for transition in transitions if not _may_be_made(transition, standing)]
            short = frozenset(name for name, change in units.items() if self._falls_short(name, change))
            if failed or short:
                self._refuse(transitions, {name: standing[name] for name in _ids(failed) if name in standing}, short)
            else:
                self._write(transitions, standing, units)

    def open_orders(self) -> Iterator[OpenOrder]:
        with self._tables.lock:
            entries = [OpenOrder(order_id, opened_at) for order_id, opened_at in self._tables.opened.items()]
        return iter(entries)

    def all(self) -> Iterator[Order]:
        with self._tables.lock:
            items = list(self._tables.orders.items_by_id.values())
        return readable(items, order_from_item, TABLE, "orderId")

    def _standing(self, order_ids: Iterable[str]) -> dict[str, Order]:
        items = self._tables.orders.items_by_id
        found = [items[order_id] for order_id in order_ids if order_id in items]
        return {order.order_id: order for order in all_readable(found, order_from_item, TABLE, "orderId")}

    def _falls_short(self, product_id: str, change: int) -> bool:
        """Whether the condition on the product fails. A stock of another type is never enough."""
        stock = self._tables.products.items_by_id.get(product_id, {}).get("stock", {})
        return product_id not in self._tables.products or (change < 0 and Decimal(stock.get("N", 0)) + change < 0)

    def _refuse(self, transitions: Sequence[Transition], standing: Mapping[str, Order], short: frozenset[str]) -> None:
        """Raise `Conflict`, unless the transaction is found to stand already: then its answer was lost."""
        if not was_committed(transitions, standing):
            raise Conflict(standing, short)

    def _write(
        self, transitions: Sequence[Transition], standing: Mapping[str, Order], units: Mapping[str, int]
    ) -> None:
        """Each step changes its own fields only: another step may have changed others since it was decided.

        Raises ``LookupError``, with nothing written, when a stock is no number: DynamoDB calls that a ValidationError.
        """
        products = self._tables.products.items_by_id
        stocks = {name: Decimal(products[name]["stock"]["N"]) + change for name, change in units.items()}
        for transition in transitions:
            self._tables.put_order(replace(standing[transition.before.order_id], **transition.changes()))
        for product_id, stock in stocks.items():
            products[product_id] = {**products[product_id], "stock": {"N": str(stock)}}


def _may_be_made(transition: Transition, standing: Mapping[str, Order]) -> bool:
    current = standing.get(transition.before.order_id)
    return current is not None and transition.is_allowed_on(current)


def _ids(transitions: Iterable[Transition]) -> list[str]:
    return [transition.before.order_id for transition in transitions]
