"""The two families of ports behind one interface, with what a test needs to watch them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import boto3

from shopflow.aws.calls import PATIENT
from shopflow.aws.queues import SnsTopic, SqsBacklogs, SqsDeadLetters, SqsQueue
from shopflow.aws.wiring import connect
from shopflow.config import Config
from shopflow.domain.order import EventType
from shopflow.memory.queues import MemoryBacklogs, MemoryDeadLetters, MemoryQueue, MemoryTopic
from shopflow.memory.tables import MemoryAuditLog, MemoryOrders, MemoryProducts, Rows, Tables
from shopflow.ports import AuditLog, Backlogs, DeadLetters, Message, Orders, Products, Queue, Topic
from tests.clocks import ManualClock
from tests.conformance.samples import fresh_id

T = TypeVar("T")
Filter = Collection[EventType] | None
MAX_RECEIVES = 3
SERVICE = "service"
PATIENCE_SECONDS = 20
PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class QueuePair:
    """An empty queue of one's own, with its dead-letter queue; ``backlogs`` knows it by the name of ``SERVICE``.

    ``send_dead`` puts a message into the dead-letter queue right away.
    """

    queue: Queue
    dlq: Queue
    send: Callable[[str], object]
    send_dead: Callable[[str], object]
    dead_letters: DeadLetters
    backlogs: Backlogs


class World(Protocol):
    """One family. ``queue`` and ``topic`` make new ones; a topic comes with one queue for each filter."""

    @property
    def orders(self) -> Orders: ...
    @property
    def products(self) -> Products: ...
    @property
    def audit(self) -> AuditLog: ...
    def queue(self, visibility_seconds: int = 60) -> QueuePair: ...
    def topic(self, filters: Sequence[Filter]) -> tuple[Topic, list[Queue]]: ...
    def spoil(self, key: str, item_id: str, name: str, value: Any) -> None:
        """Write an attribute of an order or a product (by its ``key``) without the code that checks it.

        None removes it.
        """
        ...

    def pause(self) -> None:
        """Let `PAUSE_SECONDS` pass."""
        ...


def eventually(world: World, look: Callable[[], T]) -> T:
    """What ``look`` returns as soon as that is not empty. Fails when it still is after `PATIENCE_SECONDS`."""
    for _ in range(int(PATIENCE_SECONDS / PAUSE_SECONDS)):
        found = look()
        if found:
            return found
        world.pause()
    raise AssertionError(f"still empty after {PATIENCE_SECONDS} s")


def receive_one(world: World, queue: Queue) -> Message:
    """The next message, as soon as there is one."""
    return eventually(world, lambda: queue.receive(1, 0))[0]


def receive(world: World, queue: Queue, count: int) -> list[Message]:
    """The next ``count`` messages, in as many calls as that takes."""
    received: list[Message] = []

    def enough() -> bool:
        received.extend(queue.receive(min(10, count - len(received)), 0))
        return len(received) == count

    eventually(world, enough)
    return received


class MemoryWorld:
    """The twins. Each pause advances their clock."""

    def __init__(self) -> None:
        self._tables = tables = Tables()
        self.clock = ManualClock()
        self.orders = MemoryOrders(tables)
        self.products = MemoryProducts(tables)
        self.audit = MemoryAuditLog()

    def queue(self, visibility_seconds: int = 60) -> QueuePair:
        dlq = MemoryQueue(self.clock, fresh_id("dlq"))
        queue = MemoryQueue(
            self.clock, fresh_id("queue"), visibility_seconds=visibility_seconds, dlq=dlq, max_receives=MAX_RECEIVES
        )
        backlogs = MemoryBacklogs({SERVICE: queue}, {SERVICE: dlq})
        return QueuePair(queue, dlq, queue.send, dlq.send, MemoryDeadLetters(dlq, queue), backlogs)

    def topic(self, filters: Sequence[Filter]) -> tuple[Topic, list[Queue]]:
        topic = MemoryTopic()
        queues = [MemoryQueue(self.clock, fresh_id("queue")) for _ in filters]
        for queue, event_types in zip(queues, filters, strict=True):
            topic.subscribe(queue, event_types)
        return topic, list(queues)

    def spoil(self, key: str, item_id: str, name: str, value: Any) -> None:
        rows: Rows[Any] = self._tables.orders if key == "orderId" else self._tables.products
        item = {**rows.data[item_id], name: value}
        rows.data[item_id] = {one: kept for one, kept in item.items() if kept is not None}

    def pause(self) -> None:
        self.clock.advance(PAUSE_SECONDS)


class AwsWorld:
    """The adapters, on the tables of an applied stack. Topics and queues are its own."""

    def __init__(self, config: Config) -> None:
        ports = connect(config, PATIENT)
        self.orders = ports.orders
        self.products = ports.products
        self.audit = ports.audit
        session = boto3.session.Session(region_name=config.region)
        self._sqs = session.client("sqs", endpoint_url=config.endpoint_url)
        self._sns = session.client("sns", endpoint_url=config.endpoint_url)
        self._dynamodb = session.client("dynamodb", endpoint_url=config.endpoint_url)
        self._names = config.resources

    def queue(self, visibility_seconds: int = 60) -> QueuePair:
        dlq_url, dlq_arn = self._new_queue({})
        redrive = json.dumps({"deadLetterTargetArn": dlq_arn, "maxReceiveCount": MAX_RECEIVES})
        url, _ = self._new_queue({"VisibilityTimeout": str(visibility_seconds), "RedrivePolicy": redrive})
        queue, dlq = SqsQueue(self._sqs, url), SqsQueue(self._sqs, dlq_url)
        return QueuePair(
            queue,
            dlq,
            partial(queue.send, attributes={}),
            partial(dlq.send, attributes={}),
            SqsDeadLetters(self._sqs, dlq_url, url),
            SqsBacklogs(self._sqs, {SERVICE: url}, {SERVICE: dlq_url}),
        )

    def topic(self, filters: Sequence[Filter]) -> tuple[Topic, list[Queue]]:
        arn = self._sns.create_topic(Name=fresh_id("conformance"))["TopicArn"]
        return SnsTopic(self._sns, arn), [self._subscribed(arn, event_types) for event_types in filters]

    def spoil(self, key: str, item_id: str, name: str, value: Any) -> None:
        table = self._names.orders_table if key == "orderId" else self._names.inventory_table
        action: Any = {"Action": "DELETE"} if value is None else {"Action": "PUT", "Value": value}
        self._dynamodb.update_item(TableName=table, Key={key: {"S": item_id}}, AttributeUpdates={name: action})

    def pause(self) -> None:
        time.sleep(PAUSE_SECONDS)  # between two looks of a wait for a condition; the twins move their clock instead

    def _new_queue(self, attributes: dict[Any, str]) -> tuple[str, str]:
        url = self._sqs.create_queue(QueueName=fresh_id("conformance"), Attributes=attributes)["QueueUrl"]
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, answer["Attributes"]["QueueArn"]

    def _subscribed(self, topic_arn: str, event_types: Filter) -> Queue:
        url, arn = self._new_queue({})
        attributes = {"RawMessageDelivery": "true"}
        if event_types is not None:
            attributes["FilterPolicy"] = json.dumps({"eventType": sorted(event_types)})
        self._sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        return SqsQueue(self._sqs, url)
