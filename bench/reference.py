"""The bare reference: the same services in their simplest form. `python -m bench.reference SERVICE`

Each service is one process. A worker receives up to ten messages, handles them at the same time, and receives again
when the slowest is done. It makes one SNS, SQS or DynamoDB call for each message and each step. It checks no contract,
keeps no outbox, and loses or repeats work when it dies. Topic, queues, tables and simulated gateway are ShopFlow's.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from boto3.dynamodb.types import TypeSerializer

from shopflow.aws.calls import PATIENT
from shopflow.config import load_config
from shopflow.domain.times import to_text
from shopflow.environment import adopt_environment
from shopflow.ports import Charge
from workers.gateway import SimulatedGateway

MAX_MESSAGES = 10
WORKERS = ("inventory", "payment", "notification", "audit")
Event = dict[str, Any]
serialize = TypeSerializer().serialize
log = logging.getLogger(__name__)


class Shop:
    """One process's clients, the few calls that its service makes, and what each worker does with one event."""

    def __init__(self) -> None:
        self.config = load_config(adopt_environment())
        session = boto3.session.Session(region_name=self.config.region)
        limits = PATIENT.boto_config(extra_read_seconds=self.config.receive_wait_seconds)
        self._dynamodb = session.client("dynamodb", endpoint_url=self.config.endpoint_url, config=limits)
        self._sns = session.client("sns", endpoint_url=self.config.endpoint_url, config=limits)
        self.sqs = session.client("sqs", endpoint_url=self.config.endpoint_url, config=limits)
        self._names = self.config.resources
        self._gateway = SimulatedGateway(self.config.gateway)

    def put_order(self, order: Event) -> None:
        self._dynamodb.put_item(TableName=self._names.orders_table, Item=serialize(order)["M"])

    def set_status(self, order_id: str, status: str) -> None:
        self._dynamodb.update_item(
            TableName=self._names.orders_table,
            Key={"orderId": {"S": order_id}},
            UpdateExpression="SET #status = :status, updatedAt = :now",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":status": {"S": status}, ":now": {"S": _now()}},
        )

    def take_stock(self, product_id: str, units: int) -> bool:
        """Whether there were enough ``units``."""
        try:
            self._dynamodb.update_item(
                TableName=self._names.inventory_table,
                Key={"productId": {"S": product_id}},
                UpdateExpression="SET stock = stock - :units",
                ConditionExpression="stock >= :units",
                ExpressionAttributeValues={":units": {"N": str(units)}},
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def publish(self, event_type: str, order_id: str, payload: Event) -> None:
        event = {
            "eventId": uuid.uuid4().hex,
            "eventType": event_type,
            "timestamp": _now(),
            "correlationId": order_id,
            "payload": payload,
        }
        self._sns.publish(
            TopicArn=self._names.topic_arn,
            Message=json.dumps(event, default=str),
            MessageAttributes={"eventType": {"DataType": "String", "StringValue": event_type}},
        )

    def inventory(self, event: Event) -> None:
        order_id, payload = event["correlationId"], event["payload"]
        if event["eventType"] != "order.created":
            return  # no stock is returned after a declined payment
        enough = all(self.take_stock(line["productId"], line["quantity"]) for line in payload["items"])
        self.set_status(order_id, "INVENTORY_RESERVED" if enough else "INVENTORY_FAILED")
        self.publish("inventory.reserved" if enough else "inventory.failed", order_id, payload)

    def payment(self, event: Event) -> None:
        order_id, payload = event["correlationId"], event["payload"]
        answer = self._gateway.charge(order_id, Decimal(1), payload.get("paymentMethod"))
        charged = isinstance(answer, Charge)
        self.set_status(order_id, "PAYMENT_PROCESSED" if charged else "PAYMENT_FAILED")
        self.publish("payment.processed" if charged else "payment.failed", order_id, payload)

    def notification(self, event: Event) -> None:
        log.info("customer of %s notified", event["correlationId"])
        if event["eventType"] == "payment.processed":
            self.set_status(event["correlationId"], "COMPLETED")

    def audit(self, event: Event) -> None:
        item = {**event, "orderId": event["correlationId"], "storedAt": _now()}
        self._dynamodb.put_item(TableName=self._names.events_table, Item=serialize(item)["M"])


def work(shop: Shop, service: str) -> None:
    """Consume the queue of ``service`` for ever."""
    url = shop.config.resources.queue_urls[service]
    handle: Callable[[Event], None] = getattr(shop, service)

    def process(message: Any) -> None:
        try:
            handle(json.loads(message["Body"]))
        except Exception:
            log.exception("failed, so SQS delivers it again")
            return
        shop.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    with ThreadPoolExecutor(MAX_MESSAGES) as pool:
        while True:
            answer = shop.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=MAX_MESSAGES, WaitTimeSeconds=shop.config.receive_wait_seconds
            )
            list(pool.map(process, answer.get("Messages", [])))


class OrderService(BaseHTTPRequestHandler):
    """POST /orders puts the order and publishes its event; GET /health answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    shop: Shop

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        order_id = f"ORD-{uuid.uuid4().hex[:8].upper()}"
        self.shop.put_order({**body, "orderId": order_id, "status": "PENDING", "createdAt": _now()})
        self.shop.publish("order.created", order_id, body)
        self._answer(201, {"orderId": order_id, "status": "PENDING"})

    def do_GET(self) -> None:
        self._answer(200, {"status": "ok"})

    def _answer(self, status: int, body: Event) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Logs no request."""


def serve(shop: Shop) -> None:
    OrderService.shop = shop
    ThreadingHTTPServer((shop.config.host, shop.config.port), OrderService).serve_forever()


def _now() -> str:
    return to_text(time.time_ns() // 1_000_000)


def main(service: str) -> None:
    logging.basicConfig(level=logging.INFO)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    shop = Shop()
    if service == "order":
        serve(shop)
    else:
        work(shop, service)


if __name__ == "__main__":
    main(sys.argv[1])
