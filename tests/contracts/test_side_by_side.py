"""Two versions of one event, published and consumed side by side while a change is rolled out.

order.created 1.1 has a field more than 1.0, an optional one. A consumer that knows either handles both.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scripts.contracts.comparing import breaks
from scripts.contracts.release import Contract, Version, message
from scripts.contracts.schema import normal
from shopflow.catalog import SCHEMAS, Catalog, load_catalog
from shopflow.clock import HeaderFactory
from shopflow.contracts import Contracts, load_schemas
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
    """The Inventory Service as it is deployed with one version of the contracts: its queue and what it handled."""

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
    """A new order's event as this deployment makes it, with ``more`` in its payload."""
    order = create(pending(), HeaderFactory(ManualClock()).new(CREATED))
    event = stored_event(deployment.catalog, order)
    return replace(event, payload={**event.payload, **more})


@pytest.mark.parametrize("consumer", [OLD, NEW])
@pytest.mark.parametrize(("producer", "more"), [(OLD, {}), (NEW, {}), (NEW, {FIELD: "web"})], ids=str)
def test_a_consumer_of_either_version_handles_both(
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
def test_each_publishes_its_own_version_only_and_strictly(
    deployments: dict[str, Deployment], publisher: str, made_by: str, more: dict[str, object], problem: str
) -> None:
    event = _event(deployments[made_by], **more)
    with pytest.raises(ContractBreach, match=problem):
        deployments[publisher].contracts.encode(event)


def test_a_field_of_1_1_in_an_event_that_calls_itself_1_0_is_refused_by_the_old_consumer(
    deployments: dict[str, Deployment], topic: MemoryTopic
) -> None:
    text = deployments[NEW].contracts.encode(_event(deployments[NEW], **{FIELD: "web"}))
    with pytest.raises(ContractBreach, match="is not a known field"):
        deployments[OLD].contracts.decode(text.replace('"version": "1.1"', '"version": "1.0"'))


def test_the_check_of_contracts_says_of_these_two_what_the_consumers_do(folders: dict[str, Path]) -> None:
    old, new = (
        Contract(CREATED, Version.of(version), _whole(folder), ("inventory",)) for version, folder in folders.items()
    )
    assert breaks(old, new) == []
    assert breaks(new, old), "a field that goes is refused"


def _whole(folder: Path) -> object:
    schemas = load_schemas(folder)
    return normal(message(schemas["envelope"], CREATED, schemas[CREATED]))
