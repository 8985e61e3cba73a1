"""The SNS topic, the SQS queues and their dead-letter queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shopflow.aws.calls import translated
from shopflow.errors import Unavailable
from shopflow.ports import Backlog, DeadLetter, Message, Outgoing, QueueDepth, in_batches
from shopflow.telemetry import TRACE_PARENT

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef
    from mypy_boto3_sqs import SQSClient


class SnsTopic:
    """`shopflow.ports.Topic` on SNS."""

    def __init__(self, client: SNSClient, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        entries: Any = [
            {
                "Id": one.event_id,
                "Message": one.text,
                "MessageAttributes": attributes_of(one.event_type, one.trace_parent),
            }
            for one in batch
        ]
        with translated("PublishBatch"):
            answer = self._client.publish_batch(TopicArn=self._topic_arn, PublishBatchRequestEntries=entries)
        return frozenset(str(entry["Id"]) for entry in answer.get("Failed", []))


def attributes_of(event_type: str, trace_parent: str | None = None) -> dict[str, MessageAttributeValueTypeDef]:
    """The attributes of an event's message: its type for the filter policies, and its trace if it has one."""
    values = {"eventType": str(event_type), TRACE_PARENT: trace_parent}
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items() if value}


GONE = "ReceiptHandleIsInvalid"
"""An emulator's answer for a message that is already deleted; AWS reports success."""


class SqsQueue:
    """`shopflow.ports.Queue` on SQS.

    ``visibility_seconds`` hides what is received for that long; None: for as long as the queue itself says.
    """

    def __init__(self, client: SQSClient, url: str, visibility_seconds: int | None = None) -> None:
        self._client = client
        self._url = url
        self._options: Any = {} if visibility_seconds is None else {"VisibilityTimeout": visibility_seconds}

    def receive(self, most: int, wait_seconds: int) -> list[Message]:
        with translated("ReceiveMessage"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=wait_seconds,
                MessageAttributeNames=[TRACE_PARENT],
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
                **self._options,
            )
        return [_message(raw) for raw in answer.get("Messages", [])]

    def send(self, body: str, attributes: Mapping[str, Any]) -> str:
        """Send a message to this queue alone, without the topic. Returns its id, which it keeps as a dead letter."""
        with translated("SendMessage"):
            answer = self._client.send_message(QueueUrl=self._url, MessageBody=body, MessageAttributes=dict(attributes))
        return answer["MessageId"]

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        entries: Any = [{"Id": str(n), "ReceiptHandle": message.receipt_handle} for n, message in enumerate(messages)]
        with translated("DeleteMessageBatch"):
            answer = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
        return [messages[int(entry["Id"])] for entry in answer.get("Failed", []) if entry["Code"] != GONE]

    def change_visibility(self, seconds: Mapping[Message, int]) -> list[Message]:
        messages = list(seconds)
        entries: Any = [
            {"Id": str(n), "ReceiptHandle": message.receipt_handle, "VisibilityTimeout": seconds[message]}
            for n, message in enumerate(messages)
        ]
        with translated("ChangeMessageVisibilityBatch"):
            answer = self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        return [messages[int(entry["Id"])] for entry in answer.get("Failed", [])]


def _message(raw: Any) -> Message:
    return Message(
        message_id=raw["MessageId"],
        receipt_handle=raw["ReceiptHandle"],
        body=raw["Body"],
        receive_count=int(raw["Attributes"]["ApproximateReceiveCount"]),
        trace_parent=raw.get("MessageAttributes", {}).get(TRACE_PARENT, {}).get("StringValue"),
    )


_WAITING, _IN_FLIGHT = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


def queue_depth(client: SQSClient, url: str) -> QueueDepth:
    """The depth of the queue at ``url``. AWS errors pass unchanged."""
    wanted: Any = [_WAITING, _IN_FLIGHT]
    attributes: Mapping[Any, str] = client.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
    return QueueDepth(int(attributes[_WAITING]), int(attributes[_IN_FLIGHT]))


class SqsBacklogs:
    """`shopflow.ports.Backlogs` on SQS. The URLs are by service."""

    def __init__(self, client: SQSClient, queue_urls: Mapping[str, str], dlq_urls: Mapping[str, str]) -> None:
        self._client = client
        self._queue_urls = queue_urls
        self._dlq_urls = dlq_urls

    def of(self, service: str) -> Backlog:
        if service not in self._queue_urls or service not in self._dlq_urls:
            raise Unavailable(f"the queues of {service} are not configured")
        with translated("GetQueueAttributes"):
            queue = queue_depth(self._client, self._queue_urls[service])
            return Backlog(queue, queue_depth(self._client, self._dlq_urls[service]))


class SqsDeadLetters:
    """`shopflow.ports.DeadLetters` on SQS: the DLQ at ``dlq_url`` of the queue at ``queue_url``."""

    def __init__(self, client: SQSClient, dlq_url: str, queue_url: str) -> None:
        self._client = client
        self._dlq_url = dlq_url
        self._dlq = SqsQueue(client, dlq_url)
        self._queue = SqsQueue(client, queue_url)

    @property
    def name(self) -> str:
        return self._dlq_url.rpartition("/")[2]

    def depth(self) -> int:
        with translated("GetQueueAttributes"):
            return queue_depth(self._client, self._dlq_url).total

    def receive(self, most: int, hide_seconds: int, wait_seconds: int) -> list[DeadLetter]:
        with translated("ReceiveMessage"):
            answer = self._client.receive_message(
                QueueUrl=self._dlq_url,
                MaxNumberOfMessages=most,
                VisibilityTimeout=hide_seconds,
                WaitTimeSeconds=wait_seconds,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
        return [_letter(raw) for raw in answer.get("Messages", [])]

    def hide(self, letters: Sequence[DeadLetter], seconds: int) -> None:
        for batch in in_batches(letters):
            self._dlq.change_visibility({letter.message: seconds for letter in batch})

    def delete(self, letters: Sequence[DeadLetter]) -> int:
        batches = in_batches(letters)
        return len(letters) - sum(len(self._dlq.delete([letter.message for letter in batch])) for batch in batches)

    def redrive(self, letter: DeadLetter) -> str:
        message_id = self._queue.send(letter.message.body, letter.attributes)
        self.delete([letter])
        return message_id


def _letter(raw: Any) -> DeadLetter:
    system = raw["Attributes"]
    message = Message(raw["MessageId"], raw["ReceiptHandle"], raw["Body"], int(system["ApproximateReceiveCount"]))
    return DeadLetter(message, int(system["SentTimestamp"]), raw.get("MessageAttributes", {}))
