"""All ports of one process on AWS, from its configuration, and the operator's token."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from shopflow.aws.calls import INTERACTIVE, CallLimits
from shopflow.aws.mail import SesMailer
from shopflow.aws.queues import SnsTopic, SqsBacklogs, SqsDeadLetters, SqsQueue
from shopflow.aws.tables import DynamoAuditLog, DynamoOrders, DynamoProducts
from shopflow.config import Config, checked_token
from shopflow.errors import ConfigError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Aws:
    """The ports, over thread-safe clients."""

    orders: DynamoOrders
    products: DynamoProducts
    audit: DynamoAuditLog
    topic: SnsTopic
    _sqs: SQSClient
    _config: Config
    _limits: CallLimits

    def queue(self, service: str) -> SqsQueue:
        """The queue of ``service``. Raises `ConfigError` when its URL is not configured."""
        return SqsQueue(self._sqs, self._url(service, "QUEUE"), self._config.visibility_seconds)

    def dead_letters(self, service: str) -> SqsDeadLetters:
        """The dead-letter queue of ``service``. Raises `ConfigError` when its URL or its queue's is not configured."""
        return SqsDeadLetters(self._sqs, self._url(service, "DLQ"), self._url(service, "QUEUE"))

    def backlogs(self) -> SqsBacklogs:
        """The depths of all queues and dead-letter queues that are configured."""
        return SqsBacklogs(self._sqs, self._config.resources.queue_urls, self._config.resources.dlq_urls)

    def mailer(self) -> SesMailer | None:
        """What mails customers from MAIL_FROM; None without that setting.

        It makes one attempt, because a second one could be a second mail.
        """
        sender = self._config.mail_from
        if sender is None:
            return None
        once = replace(self._limits, attempts=1).boto_config()
        session = boto3.session.Session(region_name=self._config.region)
        return SesMailer(session.client("ses", endpoint_url=self._config.endpoint_url, config=once), sender)

    def _url(self, service: str, kind: str) -> str:
        resources = self._config.resources
        url = (resources.queue_urls if kind == "QUEUE" else resources.dlq_urls).get(service)
        if url is None:
            raise ConfigError(f"SHOPFLOW_{service.upper()}_{kind}_URL is not set. Run 'make infra-up'.")
        return url


def session_in(region: str | None) -> boto3.session.Session:
    """A session in ``region``; None: in that of boto3's own settings. Raises `ConfigError` when it cannot use those."""
    with _settings_of_boto3():
        return boto3.session.Session(region_name=region)


def connect(config: Config, limits: CallLimits) -> Aws:
    """Build the ports. Makes no call yet; each later call takes no longer than ``limits`` say.

    Raises `ConfigError` when boto3 cannot use its own settings: AWS_PROFILE, the files in ~/.aws and so on.
    """
    resources = config.resources
    boto_config = limits.boto_config()
    polling = limits.boto_config(extra_read_seconds=config.receive_wait_seconds)
    session = session_in(config.region)
    with _settings_of_boto3():
        dynamodb = session.client("dynamodb", endpoint_url=config.endpoint_url, config=boto_config)
        sns = session.client("sns", endpoint_url=config.endpoint_url, config=boto_config)
        sqs = session.client("sqs", endpoint_url=config.endpoint_url, config=polling)
    return Aws(
        orders=DynamoOrders(dynamodb, resources.orders_table, resources.inventory_table, resources.open_orders_index),
        products=DynamoProducts(dynamodb, resources.inventory_table),
        audit=DynamoAuditLog(dynamodb, resources.events_table),
        topic=SnsTopic(sns, resources.topic_arn),
        _sqs=sqs,
        _config=config,
        _limits=limits,
    )


def operators_token(config: Config) -> str | None:
    """The token that is set, or else that of the SSM parameter that is named. None turns the operator's page off.

    A parameter that cannot be read turns the page off until the next start, and is logged: orders need no such page.
    """
    name = config.ops_token_parameter
    if config.ops_token or not name:
        return config.ops_token
    ssm = session_in(config.region).client("ssm", endpoint_url=config.endpoint_url, config=INTERACTIVE.boto_config())
    try:
        answer = ssm.get_parameter(Name=name, WithDecryption=True)
        return checked_token(answer["Parameter"]["Value"], f"The SSM parameter {name}")
    except (BotoCoreError, ClientError, ConfigError) as error:
        log.error("the operator's page is off: %s", error)
        return None


@contextmanager
def _settings_of_boto3() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"boto3 has a wrong setting, from an AWS_… variable or from ~/.aws: {error}") from None
