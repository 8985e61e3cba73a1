"""Old code reads new events and new code reads old events, while a minor version is rolled out.

order.created 1.1 has one optional field more than 1.0.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from shopflow.catalog import SCHEMAS, Catalog, load_catalog
from shopflow.clock import HeaderFactory
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, create
from shopflow.errors import ContractBreach
from shopflow.messaging.outbox import stored_event
from tests.clocks import ManualClock
from tests.conformance.samples import an_order

CREATED = EventType.ORDER_CREATED
OLD, NEW = "1.0", "1.1"
FIELD = "channel"
Versions = dict[str, Catalog]


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """Today's catalogue with order.created in each version, over a copy of the schemas."""
    base, catalogs = load_catalog(), {}
    for version in (OLD, NEW):
        folder = tmp_path_factory.mktemp("contracts") / "schemas"
        shutil.copytree(SCHEMAS, folder)
        events = {**base.events, CREATED: replace(base.events[CREATED], version=version)}
        catalogs[version] = Catalog(events, base.services, (folder,))
    file = folder / "events" / "order.created.schema.json"
    schema = json.loads(file.read_text())
    schema["properties"][FIELD] = {"type": "string", "maxLength": 20}
    file.write_text(json.dumps(schema))
    return catalogs


def created(catalog: Catalog, **more: object) -> Event:
    """The event of a new order as a service with ``catalog`` makes it, with ``more`` in its payload."""
    event = stored_event(catalog, create(an_order(), HeaderFactory(ManualClock()).new(CREATED)))
    return replace(event, payload={**event.payload, **more})


@pytest.mark.parametrize("consumer", [OLD, NEW])
@pytest.mark.parametrize(("producer", "more"), [(OLD, {}), (NEW, {}), (NEW, {FIELD: "web"})], ids=str)
def test_a_consumer_of_either_version_reads_events_of_both(
    catalogs: Versions, consumer: str, producer: str, more: dict[str, object]
) -> None:
    event = created(catalogs[producer], **more)
    text = Contracts(catalogs[producer]).encode(event)
    assert Contracts(catalogs[consumer]).decode(text) == event


@pytest.mark.parametrize(
    ("publisher", "made_by", "more", "problem"),
    [
        (OLD, OLD, {FIELD: "web"}, "is not a known field"),
        (OLD, NEW, {}, "1.1 is not the catalogue's"),
        (NEW, OLD, {}, "1.0 is not the catalogue's"),
        (NEW, NEW, {FIELD: "x" * 21}, r"payload\.channel"),
    ],
)
def test_a_producer_publishes_only_its_own_version_and_no_unknown_fields(
    catalogs: Versions, publisher: str, made_by: str, more: dict[str, object], problem: str
) -> None:
    with pytest.raises(ContractBreach, match=problem):
        Contracts(catalogs[publisher]).encode(created(catalogs[made_by], **more))
