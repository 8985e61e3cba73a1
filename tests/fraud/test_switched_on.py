"""With the Fraud Service switched on, the other five services stay as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from examples.fraud.service import FLAGGED, NAME
from scripts.infra.clouds import local_client
from scripts.infra.stack import ROOT
from shopflow.config import Config
from shopflow.domain.order import LEGAL_TRAILS, Status
from tests.live import running_services
from tests.sizes import full
from tests.stack import AppliedStack, applied_stack
from tests.waiting import eventually

OVERLAY = ROOT / "examples" / "fraud" / "catalog.json"
SOURCES = (".py", ".tf", ".json", ".js", ".html", ".css")
EXISTING = ("api", "workers", "shopflow", "schemas", "scripts", "terraform")
"""The folders of the other services."""
_PASSING = ("ApproximateNumber", "LastModified", "Subscriptions")
"""Attributes that begin so change while messages flow."""


@pytest.fixture(scope="module")
def with_fraud() -> Iterator[AppliedStack]:
    """A stack on which Terraform has added the Fraud Service."""
    with applied_stack(overlay=OVERLAY) as applied:
        yield applied


@full
def test_a_suspicious_order_has_a_flag_in_its_trail_and_is_completed(with_fraud: AppliedStack, tmp_path: Path) -> None:
    with running_services(with_fraud, tmp_path) as live:
        order_id = live.place({live.product(stock=500): 150})
        legal = list(LEGAL_TRAILS[Status.COMPLETED])
        entries = eventually(lambda: live.aws.audit.trail(order_id), lambda seen: len(seen) > len(legal))
        assert live.queues_empty().dead_letters == 0
    events = [entry.event for entry in entries]
    (flag,) = [event for event in events if event.event_type == FLAGGED]
    assert [event.event_type for event in events if event is not flag] == legal
    assert (flag.causation_id, flag.source) == (events[0].event_id, "fraud-service")
    assert flag.payload["reasons"][0] == "the amount is 1000 or more"


@full
def test_terraform_only_adds_the_queues_and_the_subscription_of_the_service(
    stack: AppliedStack, with_fraud: AppliedStack
) -> None:
    before, after = _resources(stack.config), _resources(with_fraud.config)
    assert {name: after.get(name) for name in before} == before
    added = after.keys() - before.keys()
    assert {name.rpartition("-")[2] for name in added} == {"queue", "dlq", "subscription"}
    assert all(f"-{NAME}-" in name for name in added)
    (filters,) = [json.loads(after[name]["FilterPolicy"]) for name in added if name.endswith("subscription")]
    assert filters == {"eventType": ["order.created"]}


def test_no_file_of_the_other_services_names_it() -> None:
    sources = [file for folder in EXISTING for file in (ROOT / folder).rglob("*") if file.suffix in SOURCES]
    assert len(sources) > 100
    assert [file for file in sources for word in (FLAGGED, "examples.fraud") if word in file.read_text()] == []


def _resources(config: Config) -> dict[str, Any]:
    """The attributes of the topic, the queues and the subscriptions, by name."""
    sqs, sns = (local_client(service, config.endpoint_url or "") for service in ("sqs", "sns"))
    names = config.resources
    found: dict[str, Mapping[Any, str]] = {"topic": sns.get_topic_attributes(TopicArn=names.topic_arn)["Attributes"]}
    for url in (*names.queue_urls.values(), *names.dlq_urls.values()):
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        found[url.rpartition("/")[2]] = answer["Attributes"]
    for one in sns.list_subscriptions_by_topic(TopicArn=names.topic_arn)["Subscriptions"]:
        attributes = sns.get_subscription_attributes(SubscriptionArn=one["SubscriptionArn"])["Attributes"]
        found[f"{one['Endpoint'].rpartition(':')[2]}-subscription"] = attributes
    return {
        name: {key: value for key, value in attributes.items() if not key.startswith(_PASSING)}
        for name, attributes in found.items()
    }
