"""Which resources exist and what they hold, for operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from shopflow.aws.calls import PATIENT, translated
from shopflow.aws.queues import queue_depth
from shopflow.aws.wiring import session_in
from shopflow.config import Config
from shopflow.errors import Unavailable
from shopflow.ports import QueueDepth

T = TypeVar("T")
_MISSING = {"NotFound", "ResourceNotFoundException", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"}


@dataclass(frozen=True, slots=True)
class ResourceReport:
    """Queue depths by service and item counts by table, all approximate. None means that the resource is missing."""

    queues: dict[str, QueueDepth | None]
    dlqs: dict[str, QueueDepth | None]
    tables: dict[str, int | None]
    topic_exists: bool

    @property
    def complete(self) -> bool:
        """Whether every resource exists."""
        found = [*self.queues.values(), *self.dlqs.values(), *self.tables.values()]
        return self.topic_exists and None not in found

    @property
    def dead_letters(self) -> int:
        return sum(depth.total for depth in self.dlqs.values() if depth)


def inspect(config: Config) -> ResourceReport:
    """Look at each resource of ``config``, with one call each. Raises `Unavailable` when AWS does not answer."""
    session = session_in(config.region)
    limits = PATIENT.boto_config()
    sqs = session.client("sqs", endpoint_url=config.endpoint_url, config=limits)
    sns = session.client("sns", endpoint_url=config.endpoint_url, config=limits)
    dynamodb = session.client("dynamodb", endpoint_url=config.endpoint_url, config=limits)
    names = config.resources

    def depth(url: str) -> QueueDepth | None:
        return _unless_missing(lambda: queue_depth(sqs, url))

    def items(table: str) -> int | None:
        return _unless_missing(lambda: dynamodb.describe_table(TableName=table)["Table"]["ItemCount"])

    return ResourceReport(
        queues={service: depth(url) for service, url in sorted(names.queue_urls.items())},
        dlqs={service: depth(url) for service, url in sorted(names.dlq_urls.items())},
        tables={table: items(table) for table in (names.orders_table, names.inventory_table, names.events_table)},
        topic_exists=_unless_missing(lambda: sns.get_topic_attributes(TopicArn=names.topic_arn)) is not None,
    )


def has_operation(call: Callable[[], object]) -> bool:
    """Whether a cloud has the operation of ``call``, which names a resource that does not exist.

    A cloud that has the operation answers that the resource is missing. Raises `Unavailable` when it does not answer.
    """
    try:
        call()
    except ClientError as error:
        return error.response.get("Error", {}).get("Code") in _MISSING
    except BotoCoreError as error:
        raise Unavailable(f"ask the cloud what it can do: {error}") from error
    return False


def _unless_missing(call: Callable[[], T]) -> T | None:
    """The result of ``call``; None when the resource does not exist."""
    with translated("look at a resource"):
        try:
            return call()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _MISSING:
                raise
            return None
