"""What an overlay may add to the catalogue. tests/fraud/ runs a real one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.services import service_commands
from shopflow import jsontext
from shopflow.catalog import Catalog, load_catalog
from shopflow.clock import HeaderFactory
from shopflow.config import configured_catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event, replay
from shopflow.domain.order import EventType, Status, create
from shopflow.errors import ConfigError, ContractBreach
from shopflow.invariants import check_order
from shopflow.messaging.outbox import stored_event
from tests.clocks import ManualClock
from tests.unit.making import pending

EARNED = "loyalty.earned"
OVERLAY = {
    "events": {EARNED: {"producer": "loyalty", "version": "1.0"}},
    "services": {
        "loyalty": {"title": "Loyalty", "colour": "red", "consumes": ["order.created"], "module": "shop.loyalty"}
    },
}
SCHEMA = {
    "$id": f"https://shopflow.example/schemas/events/{EARNED}.schema.json",
    "type": "object",
    "additionalProperties": False,
    "required": ["orderId", "points"],
    "properties": {"orderId": {"type": "string"}, "points": {"type": "integer", "minimum": 0}},
}
HEADERS = HeaderFactory(ManualClock())
PENDING = create(pending(), HEADERS.new(EventType.ORDER_CREATED))
CREATED = stored_event(load_catalog(), PENDING)


def overlay(folder: Path, content: dict[str, Any]) -> Path:
    (folder / "schemas" / "events").mkdir(parents=True)
    (folder / "schemas" / "events" / f"{EARNED}.schema.json").write_text(jsontext.dumps(SCHEMA))
    (folder / "catalog.json").write_text(jsontext.dumps(content))
    return folder / "catalog.json"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return load_catalog(overlay(tmp_path, OVERLAY))


def earned(points: object) -> Event:
    new = HEADERS.new(EventType.ORDER_CREATED, CREATED)
    payload = {"orderId": CREATED.order_id, "points": points}
    added = replace(CREATED, event_id=new.event_id, time_ms=new.time_ms, causation_id=new.causation_id)
    return replace(added, event_type=EARNED, source="loyalty-service", payload=payload)


def test_an_overlay_adds_an_event_and_a_service_and_changes_nothing(catalog: Catalog) -> None:
    base = load_catalog()
    assert {name: catalog.events[name] for name in base.events} == base.events
    changed = [name for name, service in base.services.items() if catalog.services[name] != service]
    assert changed == ["audit"]
    assert catalog.services["audit"].consumes == frozenset({*EventType, EARNED})
    assert service_commands(catalog)[-1].argv[-1] == "shop.loyalty"


def test_an_event_of_an_overlay_has_its_contract_beside_it(catalog: Catalog) -> None:
    contracts = Contracts(catalog)
    event = earned(5)
    assert contracts.decode(contracts.encode(event)) == event
    with pytest.raises(ContractBreach, match=r"payload\.points"):
        contracts.encode(earned(-1))
    with pytest.raises(ContractBreach, match=r"loyalty\.earned is not in the catalogue"):
        Contracts(load_catalog()).decode(contracts.encode(event))


def test_an_event_of_an_overlay_does_not_change_the_order() -> None:
    replayed = replay([CREATED, earned(5)])
    assert replayed is not None
    assert replayed.status is Status.PENDING
    assert [breach.invariant for breach in check_order(PENDING, [CREATED, earned(5)], ())] == [1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"events": {"order.created": {"producer": "loyalty", "version": "1.0"}}}, "already has order.created"),
        ({"services": {"audit": {"title": "A", "colour": "red", "consumes": []}}}, "already has audit"),
        ({"services": {"new": {"title": "N", "colour": "red", "consumes": ["no.such"]}}}, "what no service produces"),
    ],
)
def test_an_overlay_may_not_change_the_catalogue(tmp_path: Path, content: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        configured_catalog({"SHOPFLOW_CATALOG_OVERLAY": str(overlay(tmp_path, content))})


def test_an_overlay_may_not_replace_a_contract_or_lack_one(tmp_path: Path) -> None:
    path, events = overlay(tmp_path, OVERLAY), tmp_path / "schemas" / "events"
    (events / "order.created.schema.json").write_text(jsontext.dumps({"$id": "x"}))
    with pytest.raises(ValueError, match="exists twice"):
        Contracts(load_catalog(path))
    (events / "order.created.schema.json").unlink()
    (events / f"{EARNED}.schema.json").unlink()
    with pytest.raises(ConfigError, match=r"loyalty\.earned"):
        Contracts(load_catalog(path))
