"""Batch reads that come back whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from shopflow.aws.calls import translated
from shopflow.aws.items import Item
from shopflow.errors import Contention

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_BATCH_GET = 100
"""DynamoDB: keys in one BatchGetItem."""
_MOST_ROUNDS = 5


def batch_get(client: DynamoDBClient, table: str, key: str, ids: Sequence[str], *, consistent: bool) -> Iterator[Item]:
    """The items that exist of ``ids`` (the values of the string attribute ``key``), in any order.

    What DynamoDB leaves unprocessed is asked for again; `Contention` is raised when it keeps leaving it.
    """
    for start in range(0, len(ids), MAX_BATCH_GET):
        keys = [{key: {"S": value}} for value in ids[start : start + MAX_BATCH_GET]]
        request: Any = {table: {"Keys": keys, "ConsistentRead": consistent}}
        for _ in range(_MOST_ROUNDS):
            with translated(f"BatchGetItem {table}"):
                answer = client.batch_get_item(RequestItems=request)
            yield from answer["Responses"].get(table, [])
            request = answer.get("UnprocessedKeys")
            if not request:
                break
        else:
            raise Contention(f"BatchGetItem {table}: keys stay unprocessed")
