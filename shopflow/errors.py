"""The errors that ShopFlow raises, and what the caller of each should do.

ShopFlowError
├─ ContractBreach    a permanent failure: let the message reach its dead-letter queue soon
├─ InvalidRequest    the client's mistake: name the field, save nothing
├─ Conflict          a condition failed and nothing was written: read again, decide again
├─ BadAnswer         a dependency broke its contract: fail this work alone, try again later
├─ MalformedRow      a stored row cannot be read: leave it alone, name it to the operator
├─ Unavailable       a dependency does not answer, the outcome is unknown: keep the work, try again later
│  └─ Contention     a dependency is busy (throttled, conflicting transactions): nothing was written
└─ ConfigError       a setting is missing or wrong: stop and name it
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shopflow.domain.order import Order


class ShopFlowError(Exception):
    """The root of the tree: all that ShopFlow raises on purpose."""


class ContractBreach(ShopFlowError):
    """A message that breaks its contract, or contradicts the order that it is about."""


class InvalidRequest(ShopFlowError):
    """A request that cannot be accepted. The text names the field, in words for the client."""


class Conflict(ShopFlowError):
    """Conditions of a write failed, so nothing of it was written.

    ``orders``: by id and as they are now, those that have changed since they were read.
    ``products``: the ids of those without enough stock.
    """

    def __init__(self, orders: Mapping[str, Order], products: frozenset[str] = frozenset()) -> None:
        super().__init__(f"changed: {sorted(orders)}; out of stock: {sorted(products)}")
        self.orders = orders
        self.products = products


class BadAnswer(ShopFlowError):
    """A dependency gave an answer that its contract does not allow. The text says which. Nothing was stored."""


class MalformedRow(ShopFlowError):
    """Rows of a table cannot be read, so nothing can be decided about them. ``keys``: their ids."""

    def __init__(self, table: str, keys: frozenset[str]) -> None:
        super().__init__(f"rows of {table} cannot be read, correct them: {', '.join(sorted(keys))}")
        self.keys = keys


class Unavailable(ShopFlowError):
    """A dependency did not answer in time, or had an internal error. Whether it did its work is unknown."""


class Contention(Unavailable):
    """A dependency refused because it is busy with other work. Nothing was written."""


class ConfigError(ShopFlowError):
    """A setting is missing or wrong. The text names it and says what to do."""
