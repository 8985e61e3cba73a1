"""The SQS queue of one service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from shopflow.aws.calls import translated
from shopflow.ports import Message
from shopflow.tracing import TRACE_PARENT

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

GONE = "ReceiptHandleIsInvalid"
"""What an emulator answers for a message that is deleted already, where AWS reports success."""


class _ReceiveOptions(TypedDict, total=False):
    VisibilityTimeout: int


class SqsQueue:
    """`shopflow.ports.Queue` on SQS.

    ``visibility_seconds`` hides what is received for that long; None: for as long as the queue itself says.
    """

    def __init__(self, client: SQSClient, url: str, visibility_seconds: int | None = None) -> None:
        self._client = client
        self._url = url
        self._receive_options: _ReceiveOptions = (
            {} if visibility_seconds is None else {"VisibilityTimeout": visibility_seconds}
        )

    def receive(self, most: int, wait_seconds: int) -> list[Message]:
        with translated("ReceiveMessage"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=wait_seconds,
                MessageAttributeNames=[TRACE_PARENT],
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
                **self._receive_options,
            )
        return [_message(raw) for raw in answer.get("Messages", [])]

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        with translated("DeleteMessageBatch"):
            answer = self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message.receipt_handle}
                    for number, message in enumerate(messages)
                ],
            )
        return [messages[int(entry["Id"])] for entry in answer.get("Failed", []) if entry["Code"] != GONE]

    def change_visibility(self, seconds: Mapping[Message, int]) -> list[Message]:
        messages = list(seconds)
        with translated("ChangeMessageVisibilityBatch"):
            answer = self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message.receipt_handle, "VisibilityTimeout": seconds[message]}
                    for number, message in enumerate(messages)
                ],
            )
        return [messages[int(entry["Id"])] for entry in answer.get("Failed", [])]


def _message(raw: Any) -> Message:
    return Message(
        message_id=raw["MessageId"],
        receipt_handle=raw["ReceiptHandle"],
        body=raw["Body"],
        receive_count=int(raw["Attributes"]["ApproximateReceiveCount"]),
        trace_parent=raw.get("MessageAttributes", {}).get(TRACE_PARENT, {}).get("StringValue"),
    )
