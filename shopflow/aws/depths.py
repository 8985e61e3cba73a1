"""How many messages wait in queues and dead-letter queues: for operators, not for the services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shopflow.aws.calls import translated
from shopflow.errors import Unavailable
from shopflow.ports import Backlog, QueueDepth

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_WAITING, _IN_FLIGHT = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


def queue_depth(client: SQSClient, url: str) -> QueueDepth:
    """The depth of the queue at ``url``. AWS's errors come as they are."""
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
