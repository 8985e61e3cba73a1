"""The AWS calls themselves, made with boto3 and nothing else: the yardstick of what ShopFlow adds to them."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import boto3

from shopflow.aws.calls import PATIENT
from shopflow.aws.items import order_to_item
from shopflow.catalog import load_catalog
from shopflow.config import Config
from shopflow.domain.order import EventHeader, EventType, Line, Order, create
from shopflow.messaging.group_commit import GroupPublisher
from shopflow.messaging.outbox import stored_event

TEMPLATE_ID = "ORD-TEMPLATE"
_DEPTHS: Any = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


def template_order(product_id: str) -> Order:
    """An order as `POST /orders` makes it, to take its shape and size from."""
    header = EventHeader("0" * 26, EventType.ORDER_CREATED, 1_700_000_000_000)
    line = Line(product_id, "Benchmark product", 1, Decimal("9.99"))
    order = Order(
        order_id=TEMPLATE_ID,
        customer_id="CUST-BENCH",
        lines=(line,),
        created_at=header.time_ms,
        updated_at=header.time_ms,
        payment_method="pm_card_visa",
        idempotency_key="x" * 22,
        request_hash="x" * 22,
    )
    return create(order, header)


class Bare:
    """Thread-safe clients for one configuration, and the few calls that a benchmark makes for itself."""

    def __init__(self, config: Config) -> None:
        session = boto3.session.Session(region_name=config.region)
        limits = PATIENT.boto_config(extra_read_seconds=config.receive_wait_seconds)
        self.dynamodb = session.client("dynamodb", endpoint_url=config.endpoint_url, config=limits)
        self.sns = session.client("sns", endpoint_url=config.endpoint_url, config=limits)
        self.sqs = session.client("sqs", endpoint_url=config.endpoint_url, config=limits)
        self.resources = config.resources

    def backlogs(self, *services: str) -> dict[str, int]:
        """Messages in each queue of ``services`` (default: all), about, those in flight included."""
        urls = self.resources.queue_urls
        return {service: self._depth(urls[service]) for service in services or urls}

    def purge(self) -> None:
        """Empty every queue."""
        for url in self.resources.queue_urls.values():
            self.sqs.purge_queue(QueueUrl=url)

    def send(self, service: str, texts: Sequence[str]) -> None:
        """Put up to ten messages into a service's queue, past the topic."""
        entries: Any = [{"Id": str(number), "MessageBody": text} for number, text in enumerate(texts)]
        self.sqs.send_message_batch(QueueUrl=self.resources.queue_urls[service], Entries=entries)

    def all_orders(self) -> Iterator[dict[str, Any]]:
        """The item of every order, however it was written."""
        for page in self.dynamodb.get_paginator("scan").paginate(TableName=self.resources.orders_table):
            yield from page["Items"]

    def _depth(self, url: str) -> int:
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=_DEPTHS)["Attributes"]
        return sum(map(int, attributes.values()))


class BareOrders:
    """Places orders of one line: a conditional put and a publish, after a read of the product.

    ``as_often``: reads and publishes no more than the API does, which holds products and shares publishes.
    """

    def __init__(self, bare: Bare, product_id: str, *, as_often: bool = False) -> None:
        order = template_order(product_id)
        self._bare = bare
        self._reads_product = not as_often
        self._publish = GroupPublisher(self._publish_batch, 10).publish if as_often else self._publish_batch
        self._product: Any = {bare.resources.inventory_table: {"Keys": [{"productId": {"S": product_id}}]}}
        self._item = order_to_item(order)
        self._event = json.dumps(stored_event(load_catalog(), order).to_json(), default=float)

    def place(self) -> str:
        """Place one. Returns its id."""
        order_id = f"ORD-{os.urandom(4).hex().upper()}"
        if self._reads_product:
            self._bare.dynamodb.batch_get_item(RequestItems=self._product)
        self._bare.dynamodb.put_item(
            TableName=self._bare.resources.orders_table,
            Item={**self._item, "orderId": {"S": order_id}},
            ConditionExpression="attribute_not_exists(orderId)",
        )
        self._publish([self._event.replace(TEMPLATE_ID, order_id)])
        return order_id

    def _publish_batch(self, texts: Sequence[str]) -> None:
        entries = [entry("order.created", text) for text in texts]
        self._bare.sns.publish_batch(TopicArn=self._bare.resources.topic_arn, PublishBatchRequestEntries=entries)


def entry(event_type: str, text: str) -> Any:
    """A message for `publish_batch`."""
    attribute = {"DataType": "String", "StringValue": event_type}
    return {"Id": uuid.uuid4().hex, "Message": text, "MessageAttributes": {"eventType": attribute}}
