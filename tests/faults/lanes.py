"""Copies of a stack's topic, queues and tables beside it, so that fault tests can run side by side on one emulator.

Each is cloned from what Terraform made, so nothing of the architecture is said twice.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import requests

from scripts.infra.stack import LOOPBACK
from shopflow.aws.calls import PATIENT
from shopflow.config import Config, Resources, load_config

_QUEUE_ATTRIBUTES = (
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "MaximumMessageSize",
    "ReceiveMessageWaitTimeSeconds",
)
_SUBSCRIPTION_ATTRIBUTES = ("FilterPolicy", "RawMessageDelivery", "RedrivePolicy")
_INDEX_PROPERTIES = ("IndexName", "KeySchema", "Projection")


@dataclass(frozen=True, slots=True)
class Lane:
    """A set of resources of its own; ``env`` is the whole environment of a process that works on it."""

    name: str
    env: Mapping[str, str]

    @property
    def config(self) -> Config:
        return load_config(self.env)


def clone(config: Config, env: Mapping[str, str], name: str) -> Lane:
    """Make another topic, other queues and other tables like those of ``config``, their names ending in ``name``."""
    session = boto3.session.Session(region_name=config.region)
    limits = PATIENT.boto_config()
    sqs = session.client("sqs", endpoint_url=config.endpoint_url, config=limits)
    sns = session.client("sns", endpoint_url=config.endpoint_url, config=limits)
    dynamodb = session.client("dynamodb", endpoint_url=config.endpoint_url, config=limits)
    original = config.resources
    topic = sns.create_topic(Name=f"{original.topic_arn.rsplit(':', 1)[1]}-{name}")["TopicArn"]
    queues, dlqs = _clone_queues(sqs, original, name)
    _clone_subscriptions(sns, original, topic, name)
    tables = {
        variable: _clone_table(dynamodb, table, name)
        for variable, table in (
            ("SHOPFLOW_ORDERS_TABLE", original.orders_table),
            ("SHOPFLOW_INVENTORY_TABLE", original.inventory_table),
            ("SHOPFLOW_EVENTS_TABLE", original.events_table),
        )
    }
    urls = {f"SHOPFLOW_{service.upper()}_QUEUE_URL": url for service, url in queues.items()}
    urls |= {f"SHOPFLOW_{service.upper()}_DLQ_URL": url for service, url in dlqs.items()}
    return Lane(name, {**env, "SHOPFLOW_TOPIC_ARN": topic, **urls, **tables})


def answers(url: str) -> bool:
    """Whether the Order Service at ``url`` is up."""
    try:
        return requests.get(f"{url}/health", timeout=1).ok
    except requests.RequestException:
        return False


def address(port: int) -> dict[str, str]:
    """The settings of an Order Service that listens on ``port``, for this machine only."""
    return {"HOST": LOOPBACK, "PORT": str(port)}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _clone_queues(sqs: Any, original: Resources, name: str) -> tuple[dict[str, str], dict[str, str]]:
    dlqs = {service: _clone_queue(sqs, url, name) for service, url in original.dlq_urls.items()}
    queues = {service: _clone_queue(sqs, url, name) for service, url in original.queue_urls.items()}
    return queues, dlqs


def _clone_queue(sqs: Any, url: str, name: str) -> str:
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    wanted = {attribute: found[attribute] for attribute in _QUEUE_ATTRIBUTES if attribute in found}
    if "RedrivePolicy" in found:
        wanted["RedrivePolicy"] = _redirected(found["RedrivePolicy"], name)
    queue: str = sqs.create_queue(QueueName=f"{url.rsplit('/', 1)[1]}-{name}", Attributes=wanted)["QueueUrl"]
    return queue


def _redirected(policy: str, name: str) -> str:
    rules = json.loads(policy)
    return json.dumps(rules | {"deadLetterTargetArn": f"{rules['deadLetterTargetArn']}-{name}"})


def _clone_subscriptions(sns: Any, original: Resources, topic: str, name: str) -> None:
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=original.topic_arn):
        for subscription in page["Subscriptions"]:
            found = sns.get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])["Attributes"]
            wanted = {attribute: found[attribute] for attribute in _SUBSCRIPTION_ATTRIBUTES if found.get(attribute)}
            if "RedrivePolicy" in wanted:
                wanted["RedrivePolicy"] = _redirected(wanted["RedrivePolicy"], name)
            endpoint = f"{subscription['Endpoint']}-{name}"
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint, Attributes=wanted)


def _clone_table(dynamodb: Any, table: str, name: str) -> str:
    found = dynamodb.describe_table(TableName=table)["Table"]
    indexes = [{key: index[key] for key in _INDEX_PROPERTIES} for index in found.get("GlobalSecondaryIndexes", [])]
    copy = f"{table}-{name}"
    dynamodb.create_table(
        TableName=copy,
        KeySchema=found["KeySchema"],
        AttributeDefinitions=found["AttributeDefinitions"],
        BillingMode="PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    )
    return copy
