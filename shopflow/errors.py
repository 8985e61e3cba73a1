"""The errors that ShopFlow raises, and what each tells its caller to do.

ShopFlowError
├─ ContractBreach    the message can never be processed: let it reach its dead-letter queue soon
├─ InvalidRequest    the client's mistake: tell it which field, save nothing
├─ Conflict          nothing was written, since a condition failed: read again, decide again
├─ BadAnswer         a dependency answered what its contract rules out: fail this work alone, try again later
├─ MalformedRow      a stored row cannot be read: leave it alone, tell the operator which it is
├─ Unavailable       a dependency does not answer, the outcome is unknown: keep the work and try again later
│  └─ Contention     it answers, but is busy with others (throttled, transactions in conflict): nothing was written
└─ ConfigError       a setting is missing or wrong: stop and say which
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shopflow.domain.order import Order


class ShopFlowError(Exception):
    """The root of the tree: everything that ShopFlow raises on purpose."""


class ContractBreach(ShopFlowError):
    """A message that breaks its contract, or that contradicts the order it speaks of."""


class InvalidRequest(ShopFlowError):
    """A request that cannot be honoured. The text names the field and is fit for the client's eyes."""


class Conflict(ShopFlowError):
    """Conditions of a write failed, so nothing of it was written.

    ``orders``: those that are no longer as they were read, by id, as they stand now.
    ``products``: those whose stock no longer suffices.
    """

    def __init__(self, orders: Mapping[str, Order], products: frozenset[str] = frozenset()) -> None:
        super().__init__(f"moved on: {sorted(orders)}; short: {sorted(products)}")
        self.orders = orders
        self.products = products


class BadAnswer(ShopFlowError):
    """A dependency answered something that its contract rules out. The text says what; nothing of it was stored."""


class MalformedRow(ShopFlowError):
    """Rows of a table cannot be read, so no decision can rest on them. ``keys`` are their ids."""

    def __init__(self, table: str, keys: frozenset[str]) -> None:
        super().__init__(f"rows of {table} cannot be read, correct them: {', '.join(sorted(keys))}")
        self.keys = keys


class Unavailable(ShopFlowError):
    """A dependency did not answer in time or answered with a failure of its own. Whether it acted is unknown."""


class Contention(Unavailable):
    """The dependency refused because of other work at the same time. Nothing was written."""


class ConfigError(ShopFlowError):
    """A setting is missing or wrong. The text says which and what to do."""
