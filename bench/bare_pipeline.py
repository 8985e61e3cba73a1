"""The four workers reduced to their AWS calls: no contracts, no log, no failure handling, no idempotency.

    python -m bench.bare_pipeline inventory|payment|notification|audit

What ShopFlow's pipeline is compared with: the same calls, in the same batches, from as many processes and threads.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from bench.bare import Bare, entry
from bench.gateway import gateway_seconds
from shopflow.config import adopt_environment, load_config
from shopflow.domain.times import to_text

BATCH = 10
serialize = TypeSerializer().serialize
Event = dict[str, Any]
Work = Callable[[Sequence[Event]], str | None]
"""Does a batch's calls. Returns the type of the events that it brings about, if any."""


class Workers:
    """What each worker does with a batch, and the loop that all of them share."""

    def __init__(self) -> None:
        self._config = load_config(adopt_environment())
        self._bare = Bare(self._config)
        self._names = self._config.resources
        self._charging = ThreadPoolExecutor(BATCH * self._config.consumer_threads)

    def run(self, name: str) -> None:
        work: Mapping[str, Work] = {
            "inventory": self._reserve,
            "payment": self._charge,
            "notification": self._tell,
            "audit": self._record,
        }
        consume = partial(self._consume, self._names.queue_urls[name], work[name])
        threads = [threading.Thread(target=consume) for _ in range(self._config.consumer_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _consume(self, url: str, work: Work) -> None:
        sqs, wait = self._bare.sqs, self._config.receive_wait_seconds
        while True:
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=wait)
            messages = answer.get("Messages", [])
            if not messages:
                continue
            events = [json.loads(message["Body"], parse_float=Decimal) for message in messages]
            if event_type := work(events):
                self._publish(event_type, events)
            receipts = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=url, Entries=receipts)  # type: ignore[arg-type]

    def _publish(self, event_type: str, events: Sequence[Event]) -> None:
        texts = (json.dumps(event | {"eventType": event_type}, default=float) for event in events)
        outgoing = [entry(event_type, text) for text in texts]
        self._bare.sns.publish_batch(TopicArn=self._names.topic_arn, PublishBatchRequestEntries=outgoing)

    def _reserve(self, events: Sequence[Event]) -> str:
        self._read_orders(events)
        product_id = events[0]["payload"]["items"][0]["productId"]
        key = {"productId": {"S": product_id}}
        read: Any = {self._names.inventory_table: {"Keys": [key], "ConsistentRead": True}}
        self._bare.dynamodb.batch_get_item(RequestItems=read)
        transitions = [_move(self._names.orders_table, event, "PENDING", "INVENTORY_RESERVED") for event in events]
        stock = {
            "TableName": self._names.inventory_table,
            "Key": key,
            "UpdateExpression": "ADD stock :change",
            "ConditionExpression": "stock >= :units",
            "ExpressionAttributeValues": {":change": {"N": str(-len(events))}, ":units": {"N": str(len(events))}},
        }
        self._bare.dynamodb.transact_write_items(TransactItems=[{"Update": one} for one in [*transitions, stock]])
        return "inventory.reserved"

    def _charge(self, events: Sequence[Event]) -> str:
        self._read_orders(events)

        def charge(event: Event) -> None:
            time.sleep(gateway_seconds(self._config.gateway, event["correlationId"]))
            transition = _move(self._names.orders_table, event, "INVENTORY_RESERVED", "PAYMENT_PROCESSED")
            transition["UpdateExpression"] += ", transactionId = :transaction, chargedAmount = :amount"
            amount = serialize(event["payload"]["totalAmount"])
            transition["ExpressionAttributeValues"] |= {
                ":transaction": {"S": f"TXN-{event['eventId']}"},
                ":amount": amount,
            }
            self._bare.dynamodb.update_item(**transition)

        list(self._charging.map(charge, events))
        return "payment.processed"

    def _tell(self, events: Sequence[Event]) -> None:
        self._read_orders(events)
        for event in events:
            told = {**event, "timestamp": to_text(time.time_ns() // 1_000_000)}
            transition = _move(self._names.orders_table, told, "PAYMENT_PROCESSED", "COMPLETED")
            transition["UpdateExpression"] += " REMOVE openedAt"
            self._bare.dynamodb.update_item(**transition)

    def _record(self, events: Sequence[Event]) -> None:
        items = [_audit_item(event) for event in events]
        names = ", ".join(f"'{name}': ?" for name in items[0])
        insert = f'INSERT INTO "{self._names.events_table}" VALUE {{{names}}}'
        statements: Any = [{"Statement": insert, "Parameters": list(item.values())} for item in items]
        self._bare.dynamodb.batch_execute_statement(Statements=statements)

    def _read_orders(self, events: Sequence[Event]) -> None:
        keys = [{"orderId": {"S": event["correlationId"]}} for event in events]
        self._bare.dynamodb.batch_get_item(
            RequestItems={self._names.orders_table: {"Keys": keys, "ConsistentRead": True}}
        )


def _move(table: str, event: Event, leaves: str, enters: str) -> Any:
    header = {name: event[name] for name in ("eventId", "eventType", "timestamp")}
    return {
        "TableName": table,
        "Key": {"orderId": {"S": event["correlationId"]}},
        "UpdateExpression": "SET #status = :enters, outbox = :outbox, updatedAt = :now",
        "ConditionExpression": "#status = :leaves",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {
            ":enters": {"S": enters},
            ":leaves": {"S": leaves},
            ":outbox": serialize(header | {"causationId": "0" * 26}),
            ":now": {"S": event["timestamp"]},
        },
    }


def _audit_item(event: Event) -> dict[str, Any]:
    plain = {
        "orderId": event["correlationId"],
        "eventId": f"{event['eventId']}-{event['eventType']}",
        "eventType": event["eventType"],
        "version": event["version"],
        "source": event["source"],
        "payload": event["payload"],
        "recordedAt": event["timestamp"],
        "storedAt": event["timestamp"],
        "causationId": event["eventId"],
    }
    return {name: serialize(value) for name, value in plain.items()}


if __name__ == "__main__":
    Workers().run(sys.argv[1])
