"""The Fraud Service switched on, on a stack of its own that runs without it at first."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from examples.fraud.service import FLAGGED, NAME
from scripts import services as services_module
from scripts.console import Progress
from scripts.infra.lifecycle import up
from scripts.infra.stack import ROOT
from scripts.infra.terraform import Module
from scripts.services import LogFiles, Services, service_commands
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.config import Config, configured_catalog, load_config
from shopflow.domain.order import LEGAL_TRAILS, Status
from shopflow.ports import AuditEntry
from tests.conftest import brought_up
from tests.faults.lanes import answers, free_port
from tests.integration.conftest import QUICK
from tests.live import Live, eventually, sqs_client

EXISTING = ("api", "workers", "shopflow", "schemas", "scripts", "terraform")
"""Where all that the other services consist of is."""
_PASSING = ("ApproximateNumber", "LastModified", "Subscriptions")
"""First words of the attributes of queues and topic that come and go."""


@dataclass(frozen=True)
class SwitchedOn:
    """Everything running out of ``source``, a repository of its own that was committed before the service was added.

    ``applied``: the folder that Terraform applied. ``before``, ``after``: the resources.
    """

    source: Path
    applied: Path
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    live: Live


@pytest.fixture(scope="module")
def switched_on(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchedOn]:
    source = tmp_path_factory.mktemp("source")
    with brought_up(request, NAME) as stack, pytest.MonkeyPatch.context() as patch:
        before = _resources(stack.config)
        _commit_copy(source)
        overlay = {"SHOPFLOW_CATALOG_OVERLAY": str(source / "examples" / "fraud" / "catalog.json")}
        after = _resources(up(stack.stack, overlay, Progress()))
        env = stack.stack.environment(os.environ) | QUICK | {"PORT": str(free_port())}
        config = load_config(env)
        patch.setattr(services_module, "ROOT", source)
        logs = LogFiles(tmp_path_factory.mktemp("service-logs"))
        with Services(service_commands(configured_catalog(env)), env, logs) as services:
            services.start()
            live = Live(config, connect(config, PATIENT), services, sqs_client(config))
            eventually(lambda: answers(live.url), bool)
            yield SwitchedOn(source, Module(stack.stack, "").folder, before, after, live)


def test_with_an_overlay_a_suspicious_order_is_flagged_in_its_trail_and_no_file_of_the_others_differs(
    switched_on: SwitchedOn,
) -> None:
    live = switched_on.live
    product = live.product(stock=500)
    suspicious, ordinary = live.place({product: 150}), live.place({product: 1})
    trail = _complete_trail(live, suspicious, len(LEGAL_TRAILS[Status.COMPLETED]) + 1)
    _shows_a_flag_beside_the_legal_trail(trail)
    assert live.closed([ordinary])[0].status is Status.COMPLETED
    assert live.queues_empty().dead_letters == 0

    assert _git(switched_on.source, "status", "--porcelain") == ""
    assert _hashes(switched_on.applied) == _hashes(switched_on.source / "terraform")
    _only_adds(switched_on.before, switched_on.after)


def test_no_file_of_the_others_knows_the_service() -> None:
    named = {name for name in _listed(*EXISTING) for word in (FLAGGED, "examples.fraud") if word in _text(name)}
    assert named == set()


def _complete_trail(live: Live, order_id: str, length: int) -> list[AuditEntry]:
    return eventually(lambda: live.aws.audit.trail(order_id), lambda seen: len(seen) >= length)


def _shows_a_flag_beside_the_legal_trail(trail: list[AuditEntry]) -> None:
    events = [entry.event for entry in trail]
    (flag,) = [event for event in events if event.event_type == FLAGGED]
    assert [event.event_type for event in events if event is not flag] == list(LEGAL_TRAILS[Status.COMPLETED])
    assert (flag.causation_id, flag.source) == (events[0].event_id, "fraud-service")
    assert flag.payload["reasons"][0] == "the amount is 1000 or more"


def _only_adds(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    assert {name: after.get(name) for name in before} == before
    added = after.keys() - before.keys()
    assert {name.rpartition("-")[2] for name in added} == {"queue", "dlq", "subscription"}
    assert all(f"-{NAME}-" in name for name in added)
    (filters,) = [json.loads(after[name]["FilterPolicy"]) for name in added if name.endswith("subscription")]
    assert filters == {"eventType": ["order.created"]}


def _commit_copy(target: Path) -> None:
    """Copy what git knows, or would take, into a repository of its own, and commit it."""
    for name in _listed(*EXISTING, "examples", ".gitignore"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)
    _git(target, "init", "--quiet")
    _git(target, "add", "--all")
    nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "commit.gpgsign=false")
    _git(target, *nobody, "commit", "--quiet", "--message=before")


def _listed(*folders: str) -> list[str]:
    names = _git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders).split("\0")
    existing = [name for name in names if name and (ROOT / name).is_file()]
    assert len(existing) > 100
    return existing


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def _hashes(folder: Path) -> dict[str, str]:
    """A hash of each Terraform file, by name."""
    files = [file for file in folder.rglob("*.tf") if ".terraform" not in file.parts]
    assert len(files) > 10
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _text(name: str) -> str:
    return (ROOT / name).read_text(errors="replace")


def _resources(config: Config) -> dict[str, Any]:
    """The attributes of topic, queues and subscriptions, as AWS tells them."""
    session, endpoint = boto3.session.Session(region_name=config.region), config.endpoint_url
    sqs, sns = session.client("sqs", endpoint_url=endpoint), session.client("sns", endpoint_url=endpoint)
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
