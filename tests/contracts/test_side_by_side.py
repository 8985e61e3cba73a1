"""Old code reads new events and new code reads old events, while a minor version is rolled out.

order.created 1.1 has one optional field more than 1.0.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from shopflow.catalog import SCHEMAS, Catalog, load_catalog
from shopflow.clock import HeaderFactory
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, create
from shopflow.errors import ContractBreach
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.handler import Done, Handler, Outcome
from shopflow.messaging.outbox import Outbox, Publisher, stored_event
from shopflow.ports import QueueDepth
from tests.clocks import ManualClock
from tests.unit.making import pending

CREATED = EventType.ORDER_CREATED
OLD, NEW = "1.0", "1.1"
FIELD = "channel"


class Remembering(Handler):
    def __init__(self) -> None:
        self.seen: list[Event] = []

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.seen += events
        return [Done() for _ in events]


@dataclass(frozen=True)
class Deployment:
    """The Inventory Service, deployed with one version of the contracts."""

    catalog: Catalog
    contracts: Contracts
    queue: MemoryQueue
    dead_letters: MemoryQueue
    handler: Remembering
    consumer: Consumer

    @classmethod
    def of(cls, catalog: Catalog, topic: MemoryTopic) -> Deployment:
        clock, contracts, handler = ManualClock(), Contracts(catalog), Remembering()
        dead_letters = MemoryQueue(clock, "dead-letters")
        queue = MemoryQueue(clock, "queue", dlq=dead_letters)
        topic.subscribe(queue, {CREATED})
        publisher = Publisher(topic)
        consumer = Consumer(handler, queue, publisher, contracts, frozenset({CREATED}), threading.Event())
        return cls(catalog, contracts, queue, dead_letters, handler, consumer)


def _catalog(folder: Path, version: str) -> Catalog:
    """Today's catalogue with ``order.created`` in ``version``, over a copy of the schemas in ``folder``."""
    base = load_catalog()
    events = {**base.events, CREATED: replace(base.events[CREATED], version=version)}
    return Catalog(events, base.services, (folder,))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A copy of schemas/ for each version."""
    folders = {version: tmp_path_factory.mktemp("contracts") / "schemas" for version in (OLD, NEW)}
    for folder in folders.values():
        shutil.copytree(SCHEMAS, folder)
    file = folders[NEW] / "events" / "order.created.schema.json"
    schema = json.loads(file.read_text())
    schema["properties"][FIELD] = {"type": "string", "maxLength": 20}
    file.write_text(json.dumps(schema))
    return folders


@pytest.fixture
def topic() -> MemoryTopic:
    return MemoryTopic()


@pytest.fixture
def deployments(folders: dict[str, Path], topic: MemoryTopic) -> dict[str, Deployment]:
    return {version: Deployment.of(_catalog(folder, version), topic) for version, folder in folders.items()}


def _event(deployment: Deployment, **more: object) -> Event:
    """The event of a new order as this deployment makes it, with ``more`` in its payload."""
    order = create(pending(), HeaderFactory(ManualClock()).new(CREATED))
    event = stored_event(deployment.catalog, order)
    return replace(event, payload={**event.payload, **more})


@pytest.mark.parametrize("consumer", [OLD, NEW])
@pytest.mark.parametrize(("producer", "more"), [(OLD, {}), (NEW, {}), (NEW, {FIELD: "web"})], ids=str)
def test_a_consumer_of_either_version_handles_events_of_both(
    deployments: dict[str, Deployment], topic: MemoryTopic, consumer: str, producer: str, more: dict[str, object]
) -> None:
    event = _event(deployments[producer], **more)
    outbox = Outbox(deployments[producer].catalog, deployments[producer].contracts)
    assert Publisher(topic).publish([outbox.encode(event)])
    reader = deployments[consumer]
    reader.consumer.step()
    assert reader.handler.seen == [event]
    assert (reader.queue.depth(), reader.dead_letters.depth()) == (QueueDepth(0, 0), QueueDepth(0, 0))


@pytest.mark.parametrize(
    ("publisher", "made_by", "more", "problem"),
    [
        (OLD, OLD, {FIELD: "web"}, "is not a known field"),
        (OLD, NEW, {}, "1.1 is not the catalogue's"),
        (NEW, OLD, {}, "1.0 is not the catalogue's"),
        (NEW, NEW, {"another": 1}, "is not a known field"),
        (NEW, NEW, {FIELD: "x" * 21}, r"payload\.channel"),
    ],
)
def test_a_producer_publishes_only_its_own_version_and_no_unknown_fields(
    deployments: dict[str, Deployment], publisher: str, made_by: str, more: dict[str, object], problem: str
) -> None:
    event = _event(deployments[made_by], **more)
    with pytest.raises(ContractBreach, match=problem):
        deployments[publisher].contracts.encode(event)


def test_an_event_that_says_1_0_may_not_have_a_field_of_1_1(
    deployments: dict[str, Deployment],
) -> None:
    text = deployments[NEW].contracts.encode(_event(deployments[NEW], **{FIELD: "web"}))
    with pytest.raises(ContractBreach, match="is not a known field"):
        deployments[OLD].contracts.decode(text.replace('"version": "1.1"', '"version": "1.0"'))
