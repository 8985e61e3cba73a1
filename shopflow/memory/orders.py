"""The orders table in memory, and the transaction that it shares with the inventory table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from shopflow.domain.order import Move, Order, was_committed
from shopflow.errors import Conflict
from shopflow.memory.tables import Tables
from shopflow.ports import OpenOrder, check_transaction


class MemoryOrders:
    """`shopflow.ports.Orders` on ``tables``. The index of open orders is up to date at once."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def create(self, order: Order) -> Order:
        with self._tables.lock:
            standing = self._tables.orders.get(order.order_id)
            if standing is None:
                self._tables.put_order(order)
            return standing or order

    def read(self, order_ids: Collection[str]) -> dict[str, Order]:
        with self._tables.lock:
            orders = self._tables.orders
            return {order_id: orders[order_id] for order_id in sorted(set(order_ids)) if order_id in orders}

    def commit(self, moves: Sequence[Move], stock: Mapping[str, int] | None = None) -> None:
        units = stock or {}
        check_transaction(moves, units)
        with self._tables.lock:
            failed = [move for move in moves if not self._may_be_made(move)]
            short = frozenset(name for name, change in units.items() if self._falls_short(name, change))
            if failed or short:
                self._refuse(moves, failed, short)
            else:
                self._write(moves, units)

    def open_orders(self) -> Iterator[OpenOrder]:
        with self._tables.lock:
            entries = [OpenOrder(order_id, opened_at) for order_id, opened_at in self._tables.opened.items()]
        return iter(entries)

    def all(self) -> Iterator[Order]:
        with self._tables.lock:
            return iter(list(self._tables.orders.values()))

    def _may_be_made(self, move: Move) -> bool:
        current = self._tables.orders.get(move.before.order_id)
        return current is not None and move.may_be_made_on(current)

    def _falls_short(self, product_id: str, change: int) -> bool:
        product = self._tables.products.get(product_id)
        return product is None or product.stock + change < 0

    def _refuse(self, moves: Sequence[Move], failed: Sequence[Move], short: frozenset[str]) -> None:
        """Raise `Conflict`, unless the transaction is found to stand already: then its answer was lost."""
        found = (self._tables.orders.get(move.before.order_id) for move in failed)
        standing = {order.order_id: order for order in found if order is not None}
        if not was_committed(moves, standing):
            raise Conflict(standing, short)

    def _write(self, moves: Sequence[Move], units: Mapping[str, int]) -> None:
        """Each step changes its own fields only: another step may have changed others since it was decided."""
        tables = self._tables
        for move in moves:
            tables.put_order(replace(tables.orders[move.before.order_id], **move.changes()))
        for product_id, change in units.items():
            product = tables.products[product_id]
            tables.products[product_id] = replace(product, stock=product.stock + change)
