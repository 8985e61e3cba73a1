"""What AWS charges for: prices with their date, units from sizes, dollars from both.

A request is counted as it is sent; its units follow from the items that it touches. Rules: DynamoDB developer guide,
"Item sizes and formats", "Read and write operations" and "Managing transactions"; SNS and SQS price pages.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Item = Mapping[str, Any]
"""An item in DynamoDB's typed form: ``{"orderId": {"S": "ORD-…"}}``."""

WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096
BILLED_CHUNK_BYTES = 64 * 1024
"""SNS and SQS count a request anew for each such chunk of its payload."""
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars for a million of each, beyond any free tier. ``since``: the day that the newest of them took effect.

    SNS takes nothing for a delivery to SQS.
    """

    region: str
    since: str
    sqs_requests: float
    sns_requests: float
    write_units: float
    read_units: float


PRICES = Prices("us-east-1", "2024-11-01", sqs_requests=0.40, sns_requests=0.50, write_units=0.625, read_units=0.125)
"""Standard queues and topics, DynamoDB on demand with standard tables."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used: ``calls`` by operation (``TransactWriteItems``), and what is paid for of it."""

    calls: Counter[str] = field(default_factory=Counter)
    sqs_requests: float = 0
    sns_requests: float = 0
    write_units: float = 0
    read_units: float = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.sqs_requests + other.sqs_requests,
            self.sns_requests + other.sns_requests,
            self.write_units + other.write_units,
            self.read_units + other.read_units,
        )

    def times(self, count: int) -> Usage:
        """The same, so often."""
        calls = Counter({name: count * calls for name, calls in self.calls.items()})
        paid = (self.sqs_requests, self.sns_requests, self.write_units, self.read_units)
        return Usage(calls, *(count * each for each in paid))

    @property
    def all_calls(self) -> int:
        return self.calls.total()

    def dollars(self, prices: Prices = PRICES) -> float:
        return (
            self.sqs_requests * prices.sqs_requests
            + self.sns_requests * prices.sns_requests
            + self.write_units * prices.write_units
            + self.read_units * prices.read_units
        ) / MILLION


@dataclass(frozen=True, slots=True)
class OrderCost:
    """What one order costs on average, of ``usage`` by ``orders`` (at least 1)."""

    orders: int
    usage: Usage

    @property
    def calls(self) -> float:
        return self.usage.all_calls / self.orders

    @property
    def calls_by_operation(self) -> dict[str, float]:
        return {name: count / self.orders for name, count in sorted(self.usage.calls.items())}

    @property
    def write_units(self) -> float:
        return self.usage.write_units / self.orders

    @property
    def read_units(self) -> float:
        return self.usage.read_units / self.orders

    def dollars_per_million(self, prices: Prices = PRICES) -> float:
        return self.usage.dollars(prices) / self.orders * MILLION


def item_bytes(item: Item | None) -> int:
    """The size of an item, names and values; of none: 0."""
    return sum(_text_bytes(name) + _value_bytes(value) for name, value in (item or {}).items())


def write_units(before: Item | None, after: Item | None, *, transactional: bool = False) -> int:
    """Of a write to a table: by the larger of the item before and after, 1 at least, twice that in a transaction.

    A write whose condition fails leaves the item as it was, and is paid for all the same.
    """
    units = max(1, math.ceil(max(item_bytes(before), item_bytes(after)) / WRITE_UNIT_BYTES))
    return 2 * units if transactional else units


def index_write_units(before: Item | None, after: Item | None) -> int:
    """Of keeping an index true, given the item's entry in it before and after (None: it has none).

    A changed key takes the old entry out and puts a new one in. Transactions do not double it: an index follows later.
    """
    if before == after:
        return 0
    return sum(write_units(None, entry) for entry in (before, after) if entry is not None)


def read_units(size_bytes: int, *, consistent: bool) -> float:
    """Of reading so much: one item, or all items of a query or scan together. Nothing found is paid like 4 KB."""
    units = max(1, math.ceil(size_bytes / READ_UNIT_BYTES))
    return units if consistent else units / 2


def billed_requests(payload_bytes: int) -> int:
    """How many requests SNS and SQS take a call with that payload for."""
    return max(1, math.ceil(payload_bytes / BILLED_CHUNK_BYTES))


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, inner),) = value.items()
    match kind:
        case "S":
            return _text_bytes(inner)
        case "N":
            return _number_bytes(inner)
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + _value_bytes(element) for element in inner)
        case "M":
            return 3 + sum(1 + _text_bytes(name) + _value_bytes(element) for name, element in inner.items())
    raise ValueError(f"no rule for the size of a value of type {kind}")


def _number_bytes(text: str) -> int:
    """A byte for every two significant digits, and one more."""
    digits = text.lstrip("-").replace(".", "").strip("0")
    return math.ceil(len(digits) / 2) + 1


def _text_bytes(text: str) -> int:
    return len(text.encode())
