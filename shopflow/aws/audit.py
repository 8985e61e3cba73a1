"""The events table: the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from shopflow.aws.calls import outage_of, translated
from shopflow.aws.items import audit_from_item, audit_to_item, readable
from shopflow.domain.event import Event
from shopflow.errors import BadAnswer
from shopflow.ports import AuditEntry

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoAuditLog:
    """`shopflow.ports.AuditLog` on DynamoDB.

    Written by PartiQL INSERT, which never replaces an item: the right to ``dynamodb:PartiQLInsert`` alone can neither
    change nor delete what is there (AWS, "IAM policies for PartiQL").
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def insert(self, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:
        statements = [self._insert_statement(event, stored_at) for event in events]
        with translated("BatchExecuteStatement"):
            answer = self._client.batch_execute_statement(Statements=statements)
        failures = zip(events, (_failure(entry) for entry in answer["Responses"]), strict=True)
        return {event.event_id: failure for event, failure in failures if failure}

    def has(self, order_id: str, event_id: str) -> bool:
        key = {"orderId": {"S": order_id}, "eventId": {"S": event_id}}
        with translated("GetItem event"):
            answer = self._client.get_item(
                TableName=self._table, Key=key, ConsistentRead=True, ProjectionExpression="eventId"
            )
        return "Item" in answer

    def trail(self, order_id: str) -> list[AuditEntry]:
        with translated("Query events"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="orderId = :order_id",
                ExpressionAttributeValues={":order_id": {"S": order_id}},
                ConsistentRead=True,
            )
            items = [item for page in pages for item in page["Items"]]
        return list(readable(items, audit_from_item, self._table, "eventId"))

    def order_ids(self) -> Iterator[str]:
        """The order of every entry, a page at a time: as an operator sees the log, no service needs to.

        An order's entries come one after the other and count once; still, one id may come again.
        """
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table, ConsistentRead=True, ProjectionExpression="orderId"
        )
        last = None
        with translated("Scan events"):
            for page in pages:
                for item in page["Items"]:
                    if (order_id := item["orderId"]["S"]) != last:
                        last = order_id
                        yield order_id

    def _insert_statement(self, event: Event, stored_at: int) -> Any:
        item = audit_to_item(event, stored_at)
        attributes = ", ".join(f"'{name}': ?" for name in item)
        return {"Statement": f'INSERT INTO "{self._table}" VALUE {{{attributes}}}', "Parameters": list(item.values())}


def _failure(entry: Any) -> Exception | None:
    """The error of one statement. That the event is there already is none: its id is its own, so it is this event."""
    error = entry.get("Error")
    if not error or error.get("Code") == "DuplicateItem":
        return None
    code = error.get("Code", "")
    return (outage_of(code) or BadAnswer)(f"insert into the audit log: {code} {error.get('Message', '')}")
