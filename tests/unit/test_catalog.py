"""What an overlay may add to the catalogue, such as that of examples/fraud (tests/fraud/ runs it)."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.infra.stack import ROOT
from scripts.services import service_commands
from shopflow import jsontext
from shopflow.catalog import load_catalog
from shopflow.config import configured_catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event, replay
from shopflow.domain.order import EventType, Status
from shopflow.errors import ConfigError, ContractBreach
from shopflow.invariants import check_order
from tests.conformance.samples import an_event, an_order

FLAGGED = "fraud.flagged"
FRAUD = ROOT / "examples" / "fraud"
BASE, WITH_FRAUD = load_catalog(), load_catalog(FRAUD / "catalog.json")
PENDING = an_order()
CREATED = an_event(PENDING)


def flag(score: int) -> Event:
    payload = {"orderId": CREATED.order_id, "customerId": "CUST-001", "totalAmount": PENDING.total_amount}
    payload |= {"score": score, "reasons": ["large"]}
    return replace(CREATED, event_type=FLAGGED, source="fraud-service", payload=payload)


def test_an_overlay_adds_an_event_and_a_service_and_changes_nothing() -> None:
    assert {name: WITH_FRAUD.events[name] for name in BASE.events} == BASE.events
    changed = [name for name, service in BASE.services.items() if WITH_FRAUD.services[name] != service]
    assert changed == ["audit"]
    assert WITH_FRAUD.services["audit"].consumes == frozenset({*EventType, FLAGGED})
    assert service_commands(WITH_FRAUD)[-1].argv[-1] == "examples.fraud"


def test_an_event_of_an_overlay_has_its_contract_beside_it() -> None:
    contracts = Contracts(WITH_FRAUD)
    text = contracts.encode(flag(60))
    assert contracts.decode(text) == flag(60)
    with pytest.raises(ContractBreach, match=r"payload\.score"):
        contracts.encode(flag(-1))
    with pytest.raises(ContractBreach, match=r"fraud\.flagged is not in the catalogue"):
        Contracts(BASE).decode(text)


def test_an_event_of_an_overlay_does_not_change_the_order() -> None:
    replayed = replay([CREATED, flag(60)])
    assert replayed is not None
    assert replayed.status is Status.PENDING
    assert [breach.invariant for breach in check_order(PENDING, [CREATED, flag(60)], ())] == [1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"events": {"order.created": {"producer": "loyalty", "version": "1.0"}}}, "already has order.created"),
        ({"services": {"audit": {"title": "A", "colour": "red", "consumes": []}}}, "already has audit"),
        ({"services": {"new": {"title": "N", "colour": "red", "consumes": ["no.such"]}}}, "what no service produces"),
    ],
)
def test_an_overlay_may_not_change_the_catalogue(tmp_path: Path, content: dict[str, Any], problem: str) -> None:
    overlay = tmp_path / "catalog.json"
    overlay.write_text(jsontext.dumps(content))
    with pytest.raises(ConfigError, match=problem):
        configured_catalog({"SHOPFLOW_CATALOG_OVERLAY": str(overlay)})


def test_an_overlay_may_not_replace_a_contract_or_lack_one(tmp_path: Path) -> None:
    folder = shutil.copytree(FRAUD, tmp_path / "fraud")
    catalog, contract = load_catalog(folder / "catalog.json"), folder / "schemas" / "events" / f"{FLAGGED}.schema.json"
    shutil.copy(contract, contract.with_name("order.created.schema.json"))
    with pytest.raises(ValueError, match="exists twice"):
        Contracts(catalog)
    contract.with_name("order.created.schema.json").unlink()
    contract.unlink()
    with pytest.raises(ConfigError, match=r"fraud\.flagged"):
        Contracts(catalog)
