"""The workers as AWS Lambda functions: ``workers.lambda_handler.inventory`` and so on, each fed by its own queue.

Handlers and consumer are the same as in a process. The difference: Lambda receives the messages and deletes those that
are not reported as failed, and an invocation has an end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from threading import Event as Flag
from typing import Any, Protocol

from shopflow.config import configured_catalog, load_config
from shopflow.environment import adopt_environment
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.deferred import OUTAGE
from shopflow.ports import Message, Queue
from shopflow.telemetry import TRACE_PARENT
from workers.handlers import HANDLERS
from workers.process import Worker

LAST_TRY_SECONDS = 25
"""No retry starts with less time than this left in the invocation: an unanswered call can take that long
(`shopflow.aws.calls.PATIENT`)."""
BatchResponse = dict[str, list[dict[str, str]]]


class Context(Protocol):
    """What we use of Lambda's context."""

    def get_remaining_time_in_millis(self) -> int: ...


class Delivered:
    """`shopflow.ports.Queue` of one invocation's messages: Lambda has received them, and deletes them afterwards."""

    def __init__(self, messages: Sequence[Message], queue: Queue) -> None:
        self._waiting = list(messages)
        self._undeleted = dict.fromkeys(messages)
        self._queue = queue

    def receive(self, most: int, wait_seconds: int) -> list[Message]:  # noqa: ARG002 (nothing more will come)
        received, self._waiting = self._waiting[:most], self._waiting[most:]
        return received

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        for message in messages:
            del self._undeleted[message]
        return []

    def change_visibility(self, seconds: Mapping[Message, int]) -> list[Message]:
        return self._queue.change_visibility(seconds)

    @property
    def all_received(self) -> bool:
        return not self._waiting

    @property
    def response(self) -> BatchResponse:
        """The answer to Lambda: messages that were not deleted have failed, and come again after their visibility
        timeout.
        """
        return {"batchItemFailures": [{"itemIdentifier": message.message_id} for message in self._undeleted]}


def work(
    messages: Sequence[Message],
    queue: Queue,
    consumer_of: Callable[[Queue, Flag], Consumer],
    seconds_left: Callable[[], float],
    sleep: Callable[[float], None] = time.sleep,
) -> BatchResponse:
    """Take the messages of one invocation through a consumer. Retry while a dependency is down and time is left.

    ``queue``: where they come from. ``consumer_of``: makes the consumer of a queue.
    """
    batch = Delivered(messages, queue)
    consumer = consumer_of(batch, Flag())
    pause = consumer.step()
    while consumer.has_deferred or not batch.all_received:
        pause = consumer.seconds_to_retry if batch.all_received else pause
        if seconds_left() < pause + LAST_TRY_SECONDS:
            break
        sleep(pause)
        pause = consumer.step()
    consumer.nack_deferred(OUTAGE.delay)
    return batch.response


def message_of(record: Mapping[str, Any]) -> Message:
    """The message in a record of Lambda's SQS event."""
    return Message(
        message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        body=record["body"],
        receive_count=int(record["attributes"]["ApproximateReceiveCount"]),
        trace_parent=record["messageAttributes"].get(TRACE_PARENT, {}).get("stringValue"),
    )


@cache
def _worker(name: str) -> Worker:
    """Made at the first invocation and kept as long as Lambda keeps the process."""
    env = adopt_environment()
    return Worker.start(name, HANDLERS[name], load_config(env), configured_catalog(env))


def _serve(name: str, event: Mapping[str, Any], context: Context) -> BatchResponse:
    worker = _worker(name)
    messages = [message_of(record) for record in event["Records"]]
    return work(messages, worker.queue, worker.consumer, lambda: context.get_remaining_time_in_millis() / 1000)


inventory = partial(_serve, "inventory")
payment = partial(_serve, "payment")
notification = partial(_serve, "notification")
audit = partial(_serve, "audit")
