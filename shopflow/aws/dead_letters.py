"""One service's dead-letter queue, and the way back from it: for operators, not for the services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from shopflow.aws.calls import translated
from shopflow.aws.depths import queue_depth
from shopflow.aws.queues import SqsQueue
from shopflow.ports import DeadLetter, Message, in_batches

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

NO_SUCH_ACTION = frozenset({"InvalidAction", "UnsupportedOperation", "UnknownOperation", "NotImplemented"})
"""What emulators answer for an action that they do not have."""


@dataclass(frozen=True, slots=True)
class MoveTask:
    """A native redrive: RUNNING, COMPLETED, CANCELLED or FAILED, and about how many messages it has moved."""

    status: str
    moved: int
    failure: str


class SqsSender:
    """Puts messages into one queue, past the topic."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, body: str, attributes: Mapping[str, Any]) -> str:
        """Returns the id of the new message, which it keeps when it ends in the dead-letter queue."""
        with translated("SendMessage"):
            answer = self._client.send_message(QueueUrl=self._url, MessageBody=body, MessageAttributes=dict(attributes))
        return answer["MessageId"]


class SqsDeadLetters:
    """`shopflow.ports.DeadLetters` on SQS: the queue at ``dlq_url``, of the one at ``queue_url``."""

    def __init__(self, client: SQSClient, dlq_url: str, queue_url: str) -> None:
        self._client = client
        self._dlq_url = dlq_url
        self._queue_url = queue_url
        self._dlq = SqsQueue(client, dlq_url)
        self._sender = SqsSender(client, queue_url)

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
        message_id = self._sender.send(letter.message.body, letter.attributes)
        self.delete([letter])
        return message_id

    def start_move(self, per_second: int) -> bool:
        """Have SQS itself move all visible messages, 1-500 a second. False: this endpoint does not know how.

        The queue is named as the destination, since SNS puts what it could not deliver here too, and that has no
        source queue to go back to (SQS API reference, StartMessageMoveTask).
        """
        arns = [self._attributes(url, ["QueueArn"])["QueueArn"] for url in (self._dlq_url, self._queue_url)]
        with translated("StartMessageMoveTask"):
            try:
                self._client.start_message_move_task(
                    SourceArn=arns[0], DestinationArn=arns[1], MaxNumberOfMessagesPerSecond=per_second
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in NO_SUCH_ACTION:
                    return False
                raise
        return True

    def move(self) -> MoveTask:
        """The latest task that `start_move` started."""
        arn = self._attributes(self._dlq_url, ["QueueArn"])["QueueArn"]
        with translated("ListMessageMoveTasks"):
            task = self._client.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"][0]
        moved = task.get("ApproximateNumberOfMessagesMoved", 0)
        return MoveTask(task["Status"], moved, task.get("FailureReason", ""))

    def _attributes(self, url: str, names: Sequence[Any]) -> Mapping[Any, str]:
        with translated("GetQueueAttributes"):
            return self._client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]


def _letter(raw: Any) -> DeadLetter:
    system = raw["Attributes"]
    message = Message(raw["MessageId"], raw["ReceiptHandle"], raw["Body"], int(system["ApproximateReceiveCount"]))
    return DeadLetter(message, int(system["SentTimestamp"]), raw.get("MessageAttributes", {}))
