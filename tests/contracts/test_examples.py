"""The examples beside the schemas are what the contracts say they are."""

from pathlib import Path
from typing import Any

import pytest

from shopflow import jsontext
from shopflow.catalog import SCHEMAS, load_catalog
from shopflow.contracts import Contracts
from shopflow.domain.order import TRANSITIONS, EventType
from shopflow.errors import ContractBreach, InvalidRequest

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
VALID = sorted((SCHEMAS / "examples" / "valid").glob("*.json"))
INVALID = sorted((SCHEMAS / "examples" / "invalid").glob("*.json"))


def _name(path: Path) -> str:
    return path.stem


def _is_request(path: Path) -> bool:
    return path.name.startswith("place-order")


@pytest.mark.parametrize("path", [path for path in VALID if not _is_request(path)], ids=_name)
def test_a_valid_event_passes_both_ways_and_comes_back_the_same(path: Path) -> None:
    text = path.read_text()
    event = CONTRACTS.decode(text)
    assert jsontext.loads(CONTRACTS.encode(event)) == jsontext.loads(text)


@pytest.mark.parametrize("path", [path for path in INVALID if not _is_request(path)], ids=_name)
def test_an_invalid_event_is_refused_naming_what_is_wrong(path: Path) -> None:
    example = jsontext.loads(path.read_text())
    with pytest.raises(ContractBreach) as caught:
        CONTRACTS.decode(jsontext.dumps(example["event"]))
    assert example["error"] in str(caught.value)


@pytest.mark.parametrize("path", [path for path in VALID if _is_request(path)], ids=_name)
def test_a_valid_request_passes(path: Path) -> None:
    CONTRACTS.check_request(jsontext.loads(path.read_text()))


@pytest.mark.parametrize("path", [path for path in INVALID if _is_request(path)], ids=_name)
def test_an_invalid_request_is_refused_naming_the_field(path: Path) -> None:
    example = jsontext.loads(path.read_text())
    with pytest.raises(InvalidRequest) as caught:
        CONTRACTS.check_request(example["request"])
    assert example["error"] in str(caught.value)


@pytest.mark.parametrize("event_type", list(EventType))
def test_every_event_type_has_a_valid_and_an_invalid_example(event_type: EventType) -> None:
    for paths in (VALID, INVALID):
        assert any(path.name.startswith(f"{event_type}.") for path in paths)


def test_the_catalogue_agrees_with_the_state_machine() -> None:
    assert {name: spec.status for name, spec in CATALOG.events.items()} == {
        name: transition.enters for name, transition in TRANSITIONS.items()
    }


@pytest.mark.parametrize("path", sorted(SCHEMAS.rglob("*.schema.json")), ids=lambda path: path.name)
def test_every_schema_is_valid_and_closes_every_object(path: Path) -> None:
    from jsonschema import Draft202012Validator

    schema = jsontext.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    open_objects = [where for where, node in _objects(schema) if node.get("additionalProperties") is not False]
    assert open_objects == (["/properties/payload"] if path.name == "envelope.schema.json" else [])


def _objects(node: Any, where: str = "") -> list[tuple[str, dict[str, Any]]]:
    if isinstance(node, list):
        return [found for number, inner in enumerate(node) for found in _objects(inner, f"{where}/{number}")]
    if not isinstance(node, dict):
        return []
    inner = [found for key, value in node.items() for found in _objects(value, f"{where}/{key}")]
    return ([(where, node)] if node.get("type") == "object" else []) + inner
