"""The SNS topic that all events go through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shopflow.aws.calls import translated
from shopflow.ports import Outgoing
from shopflow.tracing import TRACE_PARENT

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef, PublishBatchRequestEntryTypeDef


class SnsTopic:
    """`shopflow.ports.Topic` on SNS."""

    def __init__(self, client: SNSClient, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        with translated("PublishBatch"):
            answer = self._client.publish_batch(
                TopicArn=self._topic_arn, PublishBatchRequestEntries=[_entry(outgoing) for outgoing in batch]
            )
        return frozenset(str(entry["Id"]) for entry in answer.get("Failed", []))


def _entry(outgoing: Outgoing) -> PublishBatchRequestEntryTypeDef:
    return {
        "Id": outgoing.event_id,
        "Message": outgoing.text,
        "MessageAttributes": attributes_of(outgoing.event_type, outgoing.trace_parent),
    }


def attributes_of(event_type: str, trace_parent: str | None = None) -> dict[str, MessageAttributeValueTypeDef]:
    """What goes along with each event: its type for the filter policies, and its trace if it has one."""
    values = {"eventType": str(event_type), TRACE_PARENT: trace_parent}
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items() if value}
