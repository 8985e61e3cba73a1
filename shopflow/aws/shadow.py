"""A table beside the orders table, to rebuild orders into: for operators, not for the services."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from shopflow.aws.calls import translated
from shopflow.aws.items import order_from_item, order_to_item, readable
from shopflow.aws.tables import Pauses, Rounds, batch_get
from shopflow.domain.order import Order
from shopflow.messaging.retry import Backoff

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_BATCH_WRITE = 25
"""DynamoDB: items in one BatchWriteItem."""
_WAITING = {"Delay": 1, "MaxAttempts": 120}
LONG = Pauses(Backoff(first_seconds=0.1, factor=2, most_seconds=6.4), most=8)
"""19 s at the most: a new table that pays by request takes a while to grow."""


class ShadowOrders:
    """The table ``name``, which is this class's own: made when it is needed, dropped afterwards."""

    def __init__(self, client: DynamoDBClient, name: str, pauses: Pauses = LONG) -> None:
        self._client = client
        self._pauses = pauses
        self.name = name

    def create(self) -> None:
        """Make the table, empty: one that an earlier run left is dropped first. Pays by request."""
        self.drop()
        with translated("CreateTable"):
            self._client.create_table(
                TableName=self.name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "orderId", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "orderId", "KeyType": "HASH"}],
                SSESpecification={"Enabled": True},
            )
            self._client.get_waiter("table_exists").wait(TableName=self.name, WaiterConfig=_WAITING)  # type: ignore[arg-type]

    def drop(self) -> None:
        """Delete the table, if it is there."""
        with translated("DeleteTable"):
            try:
                self._client.delete_table(TableName=self.name)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                    return
                raise
            self._client.get_waiter("table_not_exists").wait(TableName=self.name, WaiterConfig=_WAITING)  # type: ignore[arg-type]

    def put(self, orders: Sequence[Order]) -> None:
        """Write orders of different ids, over what is there. Raises `Contention` when some stay unprocessed."""
        for start in range(0, len(orders), MAX_BATCH_WRITE):
            chunk = orders[start : start + MAX_BATCH_WRITE]
            self._put_all({self.name: [{"PutRequest": {"Item": order_to_item(order)}} for order in chunk]})

    def read(self, order_ids: Collection[str]) -> dict[str, Order]:
        """The orders that are there of ``order_ids``, by id."""
        items = batch_get(self._client, self.name, "orderId", sorted(set(order_ids)), consistent=True)
        return {order.order_id: order for order in readable(items, order_from_item, self.name, "orderId")}

    def all(self) -> Iterator[Order]:
        """Every order in it, a page at a time."""
        pages = self._client.get_paginator("scan").paginate(TableName=self.name, ConsistentRead=True)
        with translated("Scan the shadow table"):
            for page in pages:
                yield from readable(page["Items"], order_from_item, self.name, "orderId")

    def _put_all(self, request: Any) -> None:
        rounds = Rounds(self._pauses, f"BatchWriteItem {self.name}")
        while True:
            with translated("BatchWriteItem"):
                request = self._client.batch_write_item(RequestItems=request).get("UnprocessedItems")
            if not request:
                return
            rounds.wait()
