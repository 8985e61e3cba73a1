"""What one request to AWS is paid for, from its parameters and the items that it touches.

Tables go by the names of `KEYS`. A request that has no rule here is an error: a count must not pass over a call.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bench.costs import Item, Usage, billed_requests, index_write_units, item_bytes, read_units, write_units

KEYS: Mapping[str, tuple[str, ...]] = {
    "orders": ("orderId",),
    "inventory": ("productId",),
    "events": ("orderId", "eventId"),
}
"""The attributes of each table's key."""
INDEX_KEYS: Mapping[str, tuple[str, ...]] = {"orders": ("orderId", "openedAt")}
"""The attributes of each table's index: it holds keys only, and only of the items that have them all."""

_INSERTED = re.compile(r'^INSERT INTO "(?P<table>[^"]+)" VALUE \{(?P<attributes>.*)\}$')
_ATTRIBUTE = re.compile(r"'([^']+)': \?")


@dataclass(frozen=True, slots=True)
class Request:
    """One call of AWS: ``operation`` as AWS names it, ``params`` as the SDK takes them."""

    operation: str
    params: Mapping[str, Any]


class Tables(Protocol):
    """The items at one moment."""

    def item(self, table: str, key: Item) -> Item | None:
        """The item under ``key``, which may hold more than the key's attributes."""
        ...

    def all(self, table: str) -> list[Item]: ...

    def trail(self, order_id: str) -> list[Item]:
        """The items of one order in the events table."""
        ...


def usage_of(request: Request, before: Tables, after: Tables, answer_bytes: int = 0) -> Usage:
    """What ``request`` uses that found the tables as ``before`` and left them as ``after``.

    ``answer_bytes`` is the payload that it brought back, if it received messages. Raises ``ValueError`` when there is
    no rule for it.
    """
    calls = Counter({request.operation: 1})
    match request.operation:
        case "ReceiveMessage" | "DeleteMessageBatch" | "ChangeMessageVisibilityBatch":
            return Usage(calls, sqs_requests=billed_requests(answer_bytes))
        case "PublishBatch":
            return Usage(calls, sns_requests=billed_requests(_published_bytes(request.params)))
        case "PutItem" | "UpdateItem" | "TransactWriteItems" | "BatchExecuteStatement":
            return Usage(calls, write_units=_written(request, before, after))
        case "GetItem" | "BatchGetItem" | "Query" | "Scan":
            return Usage(calls, read_units=_read(request, after))
    raise ValueError(f"no rule for what {request.operation} costs")


def _published_bytes(params: Mapping[str, Any]) -> int:
    return sum(len(entry["Message"].encode()) for entry in params["PublishBatchRequestEntries"])


def _written(request: Request, before: Tables, after: Tables) -> float:
    transactional = request.operation == "TransactWriteItems"
    units = 0
    for table, key in written_keys(request):
        old, new = before.item(table, key), after.item(table, key)
        units += write_units(old, new, transactional=transactional)
        units += index_write_units(_entry(table, old), _entry(table, new))
    return units


def written_keys(request: Request) -> Iterator[tuple[str, Item]]:
    """The table and key of each item that ``request`` writes, or tries to. Raises ``ValueError`` for one unknown."""
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
            yield from map(_inserted, params["Statements"])


def _inserted(statement: Mapping[str, Any]) -> tuple[str, Item]:
    parsed = _INSERTED.match(statement["Statement"])
    if not parsed:
        raise ValueError(f"no rule for what this statement costs: {statement['Statement']}")
    names = _ATTRIBUTE.findall(parsed["attributes"])
    return parsed["table"], dict(zip(names, statement["Parameters"], strict=True))


def _read(request: Request, tables: Tables) -> float:
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
        found = [entry for item in found if (entry := _entry(params["TableName"], item))]
    return read_units(sum(map(item_bytes, found)), consistent=consistent)


def _batch_read(table: str, asked: Mapping[str, Any], tables: Tables) -> float:
    """Each item of a batch is rounded up by itself."""
    sizes = [item_bytes(tables.item(table, key)) for key in asked["Keys"]]
    return sum(read_units(size, consistent=bool(asked.get("ConsistentRead"))) for size in sizes)


def _entry(table: str, item: Item | None) -> Item | None:
    """The item's entry in its table's index, if it has one."""
    names = INDEX_KEYS.get(table, ())
    if not names or item is None or not all(name in item for name in names):
        return None
    return {name: item[name] for name in names}
