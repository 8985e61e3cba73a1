"""Batches that DynamoDB answers in part, until they are whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shopflow.aws.calls import translated
from shopflow.aws.items import Item
from shopflow.errors import Contention
from shopflow.messaging.retry import Backoff

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_BATCH_GET = 100
"""DynamoDB: keys in one BatchGetItem."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Up to ``most`` pauses, before what was left unprocessed is asked for again: DynamoDB is throttling then."""

    backoff: Backoff
    most: int
    sleep: Callable[[float], None] = time.sleep


SHORT = Pauses(Backoff(first_seconds=0.05, factor=2, most_seconds=0.8), most=5)
"""1.55 s at the most, since a client of the API may be waiting."""


class Rounds:
    """The pauses of one batch, however many calls it takes. ``what`` names it in the error."""

    def __init__(self, pauses: Pauses, what: str) -> None:
        self._pauses = pauses
        self._what = what
        self._made = 0

    def wait(self) -> None:
        """Pause before the next round. Raises `Contention` when there have been enough."""
        if self._made == self._pauses.most:
            raise Contention(f"{self._what}: some stay unprocessed")
        self._made += 1
        self._pauses.sleep(self._pauses.backoff.delay(self._made))


def batch_get(
    client: DynamoDBClient, table: str, key: str, ids: Sequence[str], *, consistent: bool, pauses: Pauses = SHORT
) -> Iterator[Item]:
    """The items that exist of ``ids`` (the values of the string attribute ``key``), in any order.

    What DynamoDB leaves unprocessed is asked for again after a pause; `Contention` is raised when it keeps leaving it.
    """
    rounds = Rounds(pauses, f"BatchGetItem {table}")
    for start in range(0, len(ids), MAX_BATCH_GET):
        keys = [{key: {"S": value}} for value in ids[start : start + MAX_BATCH_GET]]
        request: Any = {table: {"Keys": keys, "ConsistentRead": consistent}}
        while True:
            with translated(f"BatchGetItem {table}"):
                answer = client.batch_get_item(RequestItems=request)
            yield from answer["Responses"].get(table, [])
            request = answer.get("UnprocessedKeys")
            if not request:
                break
            rounds.wait()
