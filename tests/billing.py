"""What AWS charges for a request: its units follow from its parameters and from the items that it touches.

The rules are those of the DynamoDB developer guide ("Item sizes and formats", "Read and write operations", "Managing
transactions") and of the price pages of SNS and SQS. Tables go by the names in `KEYS`. A request without a rule is an
error, so a count cannot miss a call.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Item = Mapping[str, Any]
"""An item in DynamoDB's typed form: ``{"orderId": {"S": "ORD-…"}}``."""

WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096
KEYS: Mapping[str, tuple[str, ...]] = {
    "orders": ("orderId",),
    "inventory": ("productId",),
    "events": ("orderId", "eventId"),
}
INDEX_KEYS: Mapping[str, tuple[str, ...]] = {"orders": ("orderId", "openedAt")}
"""The attributes of each table's index. It holds keys only, and only of items that have them all."""

PRICES_SINCE = "2024-11-01"
SQS_REQUEST, SNS_REQUEST, WRITE_UNIT, READ_UNIT = 0.40, 0.50, 0.625, 0.125
"""Dollars a million in us-east-1: standard queues and topics, DynamoDB on demand, without any free tier. SNS delivers
to SQS for free. Every payload here is far below the 64 KB from which SNS and SQS bill a second request."""
SQS = frozenset({"ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"})
SNS = frozenset({"PublishBatch"})
WRITES = frozenset({"PutItem", "UpdateItem", "TransactWriteItems", "BatchExecuteStatement"})
READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})

_UPDATED = re.compile(r'^UPDATE "(?P<table>[^"]+)"(?P<changes>.*?) WHERE "(?P<key>[^"]+)" = [?]')
_INSERTED = re.compile(r'^INSERT INTO "(?P<table>[^"]+)" VALUE \{(?P<attributes>.*)\}$')
_ATTRIBUTE = re.compile(r"'([^']+)': \?")


@dataclass(frozen=True, slots=True)
class Usage:
    """What some work used of AWS: calls by operation (``TransactWriteItems``), and DynamoDB's units."""

    calls: Mapping[str, float] = field(default_factory=dict)
    write_units: float = 0
    read_units: float = 0

    def __add__(self, other: Usage) -> Usage:
        calls: Counter[str] = Counter()
        for one in (self, other):
            calls.update(one.calls)
        return Usage(calls, self.write_units + other.write_units, self.read_units + other.read_units)

    def times(self, factor: float) -> Usage:
        calls = {name: factor * count for name, count in self.calls.items()}
        return Usage(calls, factor * self.write_units, factor * self.read_units)

    @property
    def all_calls(self) -> float:
        return sum(self.calls.values())

    @property
    def dollars_a_million(self) -> float:
        """What it costs to do this a million times."""
        sqs = sum(count for name, count in self.calls.items() if name in SQS)
        sns = sum(count for name, count in self.calls.items() if name in SNS)
        units = self.write_units * WRITE_UNIT + self.read_units * READ_UNIT
        return sqs * SQS_REQUEST + sns * SNS_REQUEST + units


@dataclass(frozen=True, slots=True)
class Request:
    """One call of AWS: ``operation`` as AWS names it, ``params`` as the SDK takes them."""

    operation: str
    params: Mapping[str, Any]


class Items(Protocol):
    """The items of all tables at one moment."""

    def item(self, table: str, key: Item) -> Item | None:
        """The item under ``key``, which may hold more than the key's attributes."""
        ...

    def all(self, table: str) -> list[Item]: ...

    def trail(self, order_id: str) -> list[Item]:
        """The items of one order in the events table."""
        ...


def usage_of(request: Request, before: Items, after: Items) -> Usage:
    """What ``request`` used, given the tables before and after it. Raises ``ValueError`` when it has no rule."""
    operation = request.operation
    calls = {operation: 1.0}
    if operation in SQS | SNS:
        return Usage(calls)
    if operation in WRITES:
        return Usage(calls, write_units=_written(request, before, after))
    if operation in READS:
        return Usage(calls, read_units=_read(request, after))
    raise ValueError(f"no rule for what {operation} costs")


def item_bytes(item: Item | None) -> int:
    """The size of an item, names and values; of none: 0."""
    return sum(_text_bytes(name) + _value_bytes(value) for name, value in (item or {}).items())


def write_units(before: Item | None, after: Item | None) -> int:
    """The units of a write to a table: one for each KB of the larger of the item before and after, at least 1.

    A write whose condition fails leaves the item as it was, and is charged too.
    """
    return max(1, math.ceil(max(item_bytes(before), item_bytes(after)) / WRITE_UNIT_BYTES))


def index_write_units(before: Item | None, after: Item | None) -> int:
    """The units of an index whose entry (None: it has none) changes. A changed key removes one and writes one."""
    if before == after:
        return 0
    return sum(write_units(None, entry) for entry in (before, after) if entry is not None)


def read_units(size_bytes: int, *, consistent: bool) -> float:
    """The units of one item read, or of all items of a query or scan. When nothing is found, it costs as 4 KB."""
    units = max(1, math.ceil(size_bytes / READ_UNIT_BYTES))
    return units if consistent else units / 2


def _written(request: Request, before: Items, after: Items) -> int:
    """A transaction doubles the units of its tables. It does not double those of an index, which follows later."""
    factor = 2 if request.operation == "TransactWriteItems" else 1
    units = 0
    for table, key in _written_keys(request):
        old, new = before.item(table, key), after.item(table, key)
        units += factor * write_units(old, new)
        units += index_write_units(_index_entry(table, old), _index_entry(table, new))
    return units


def _written_keys(request: Request) -> Iterator[tuple[str, Item]]:
    """The table and key of each item that ``request`` writes, or tries to write."""
    params = request.params
    match request.operation:
        case "PutItem":
            yield params["TableName"], params["Item"]
        case "UpdateItem":
            yield params["TableName"], params["Key"]
        case "TransactWriteItems":
            for action in params["TransactItems"]:
                ((kind, update),) = action.items()
                if kind != "Update":
                    raise ValueError(f"no rule for what a {kind} in a transaction costs")
                yield update["TableName"], update["Key"]
        case "BatchExecuteStatement":
            yield from map(_key_in_statement, params["Statements"])


def _key_in_statement(statement: Mapping[str, Any]) -> tuple[str, Item]:
    text, parameters = statement["Statement"], statement["Parameters"]
    if inserted := _INSERTED.match(text):
        names = _ATTRIBUTE.findall(inserted["attributes"])
        return inserted["table"], dict(zip(names, parameters, strict=True))
    if updated := _UPDATED.match(text):
        return updated["table"], {updated["key"]: parameters[updated["changes"].count("?")]}
    raise ValueError(f"no rule for what this statement costs: {text}")


def _read(request: Request, tables: Items) -> float:
    params = request.params
    consistent = bool(params.get("ConsistentRead"))
    match request.operation:
        case "GetItem":
            return read_units(item_bytes(tables.item(params["TableName"], params["Key"])), consistent=consistent)
        case "BatchGetItem":
            return sum(_batch_read(table, asked, tables) for table, asked in params["RequestItems"].items())
        case "Query":
            ((_, order_id),) = params["ExpressionAttributeValues"].items()
            return read_units(sum(map(item_bytes, tables.trail(order_id["S"]))), consistent=consistent)
    found = tables.all(params["TableName"])
    if "IndexName" in params:
        found = [entry for item in found if (entry := _index_entry(params["TableName"], item))]
    return read_units(sum(map(item_bytes, found)), consistent=consistent)


def _batch_read(table: str, asked: Mapping[str, Any], tables: Items) -> float:
    """Each item of a batch is rounded up by itself."""
    sizes = [item_bytes(tables.item(table, key)) for key in asked["Keys"]]
    return sum(read_units(size, consistent=bool(asked.get("ConsistentRead"))) for size in sizes)


def _index_entry(table: str, item: Item | None) -> Item | None:
    """The item's entry in its table's index, if it has one."""
    names = INDEX_KEYS.get(table, ())
    if not names or item is None or not all(name in item for name in names):
        return None
    return {name: item[name] for name in names}


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
    """One byte for every two significant digits, and one more."""
    digits = text.lstrip("-").replace(".", "").strip("0")
    return math.ceil(len(digits) / 2) + 1


def _text_bytes(text: str) -> int:
    return len(text.encode())
