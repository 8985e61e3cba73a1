"""What `Contracts` accepts and refuses: the examples of schemas/examples, newer versions, and hostile text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shopflow import jsontext
from shopflow.catalog import SCHEMAS, load_catalog
from shopflow.contracts import Contracts
from shopflow.domain.order import TRANSITIONS, EventType
from shopflow.errors import ContractBreach, InvalidRequest

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
VALID = sorted((SCHEMAS / "examples" / "valid").glob("*.json"))
INVALID = sorted((SCHEMAS / "examples" / "invalid").glob("*.json"))


def name(value: object) -> str:
    return value.stem if isinstance(value, Path) else str(value)


@pytest.mark.parametrize("path", VALID, ids=name)
def test_a_valid_example_is_accepted(path: Path) -> None:
    example = jsontext.loads(path.read_text())
    if path.name.startswith("place-order"):
        CONTRACTS.check_request(example)
    else:
        assert jsontext.loads(CONTRACTS.encode(CONTRACTS.decode(path.read_text()))) == example


def accept(example: dict[str, Any]) -> None:
    if "request" in example:
        CONTRACTS.check_request(example["request"])
    else:
        CONTRACTS.decode(jsontext.dumps(example["event"]))


@pytest.mark.parametrize("path", INVALID, ids=name)
def test_an_invalid_example_is_refused_and_the_error_names_the_field(path: Path) -> None:
    example = jsontext.loads(path.read_text())
    with pytest.raises((ContractBreach, InvalidRequest)) as caught:
        accept(example)
    assert example["error"] in str(caught.value)


def test_every_event_type_has_a_valid_and_an_invalid_example() -> None:
    for paths in (VALID, INVALID):
        without = [name for name in EventType if not any(path.name.startswith(f"{name}.") for path in paths)]
        assert without == []


def test_the_catalogue_agrees_with_the_state_machine() -> None:
    assert {name: spec.status for name, spec in CATALOG.events.items()} == {
        name: transition.enters for name, transition in TRANSITIONS.items()
    }


SOURCES = [*SCHEMAS.glob("*.schema.json"), *SCHEMAS.glob("events/*.schema.json")]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_schema_is_valid_and_refuses_unknown_fields(path: Path) -> None:
    schema = jsontext.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    open_objects = [where for where, node in objects(schema) if node.get("additionalProperties") is not False]
    assert open_objects == (["/properties/payload"] if path.name == "envelope.schema.json" else [])


def objects(node: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object within ``node``, with its path."""
    if isinstance(node, dict) and node.get("type") == "object":
        yield where, node
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from objects(value, f"{where}/{key}")


PROCESSED = (SCHEMAS / "examples/valid/payment.processed.json").read_text()
NEWER = PROCESSED.replace('"version": "1.0"', '"version": "1.3"')


def with_unknown_fields(text: str) -> str:
    text = text.replace('"quantity": 2', '"quantity": 2, "weight": 1.5')
    return text.replace('"payload": {', '"traceId": "t-1", "payload": {"currency": "USD",')


def test_unknown_fields_of_a_newer_minor_version_are_accepted_and_kept_but_not_published() -> None:
    event = CONTRACTS.decode(with_unknown_fields(NEWER))
    assert event.payload["currency"] == "USD"
    with pytest.raises(ContractBreach, match="is not a known field"):
        CONTRACTS.encode(event)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (with_unknown_fields(PROCESSED), "is not a known field"),
        (
            NEWER.replace('"chargedAmount": 99.98', '"chargedAmount": "much"'),
            r"payload\.chargedAmount: must be a number",
        ),
        (NEWER.replace("transactionId", "transaction"), "transactionId is missing"),
        (PROCESSED.replace('"version": "1.0"', '"version": "2.0"'), r"payment\.processed 2\.0 is not 1\.x"),
    ],
    ids=["unknown fields", "wrong known field", "missing known field", "another major version"],
)
def test_nothing_else_of_another_version_is_accepted(text: str, error: str) -> None:
    with pytest.raises(ContractBreach, match=error):
        CONTRACTS.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        '{"eventType": NaN}',
        "[" * 200_000,
        '{"a":' * 40_000 + "1" + "}" * 40_000,
        PROCESSED.replace("CUST-001", "\\ud800"),
        PROCESSED.replace("99.98", "1e400"),
        PROCESSED.replace("99.98", "9" * 5000),
        PROCESSED.replace("2026-01-31T12:00:00.700Z", "0000-01-31T12:00:00.700Z"),
    ],
    ids=lambda text: text[:20],
)
def test_hostile_text_is_a_contract_breach_and_nothing_worse(text: str) -> None:
    with pytest.raises(ContractBreach):
        CONTRACTS.decode(text)
