"""The AsyncAPI document is what the catalogue says, and what the specification allows.

asyncapi-3.0.0.schema.json is schemas/3.0.0.json of the npm package @asyncapi/specs 6.11.1, unchanged:
(c) the AsyncAPI Initiative and contributors, Apache License 2.0 (asyncapi-3.0.0.schema.LICENSE beside it).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

from scripts.contracts.asyncapi import DOCUMENT, asyncapi
from shopflow import jsontext
from shopflow.catalog import SCHEMAS, load_catalog

CATALOG = load_catalog()
WRITTEN = json.loads(DOCUMENT.read_text())
SPECIFICATION = Draft7Validator(json.loads(Path(__file__).with_name("asyncapi-3.0.0.schema.json").read_text()))
EVENT_EXAMPLES = [
    path for path in sorted((SCHEMAS / "examples" / "valid").glob("*.json")) if not path.name.startswith("place-order")
]


def test_the_document_is_not_stale() -> None:
    drawn = jsontext.dumps(asyncapi(CATALOG), indent=2) + "\n"
    assert drawn == DOCUMENT.read_text(), "write it anew: python -m scripts.contracts asyncapi"


def test_the_document_is_valid_asyncapi_3() -> None:
    assert [error.message for error in SPECIFICATION.iter_errors(WRITTEN)] == []


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("asyncapi",), "2.6.0"),
        (("info", "version"), None),
        (("channels", "shopflow-orders", "adress"), "x"),
        (("operations", "order-publishes", "action"), "publish"),
        (("components", "messages", "order.created", "payload"), {"type": "no such type"}),
        (("channels", "shopflow-audit-queue", "bindings", "sqs", "queue", "fifoQueue"), "no"),
    ],
    ids=str,
)
def test_the_specification_refuses_a_document_that_is_wrong(where: tuple[str, ...], value: object) -> None:
    document = copy.deepcopy(WRITTEN)
    node = document
    for step in where[:-1]:
        node = node[step]
    node[where[-1]] = value
    assert list(SPECIFICATION.iter_errors(document))


def test_every_reference_leads_somewhere() -> None:
    for reference in _references(WRITTEN):
        node = WRITTEN
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_every_service_sends_and_receives_what_the_catalogue_says() -> None:
    operations = {name: _events(operation) for name, operation in WRITTEN["operations"].items()}
    sent = {
        f"{service}-publishes": {name for name, spec in CATALOG.events.items() if spec.producer == service}
        for service in CATALOG.services
    }
    received = {f"{service.name}-consumes": set(service.consumes) for service in CATALOG.consumers}
    assert operations == {name: events for name, events in (sent | received).items() if events}


def test_every_queue_is_a_channel_beside_the_topic() -> None:
    queues = {f"shopflow-{service.name}-queue" for service in CATALOG.consumers}
    assert WRITTEN["channels"].keys() == queues | {"shopflow-orders"}


@pytest.mark.parametrize("path", EVENT_EXAMPLES, ids=lambda path: path.stem)
def test_the_messages_of_the_document_describe_the_events(path: Path) -> None:
    """The payload schemas stand by themselves, as a tool that has nothing but the document sees them."""
    registry: Registry[Any] = Registry().with_resource(
        "urn:document", DRAFT7.create_resource(jsontext.loads(DOCUMENT.read_text()))
    )
    event = jsontext.loads(path.read_text())
    at = f"urn:document#/components/messages/{event['eventType']}/payload"
    validator = Draft7Validator({"$ref": at}, registry=registry, format_checker=Draft7Validator.FORMAT_CHECKER)
    assert not list(validator.iter_errors(event))
    assert list(validator.iter_errors(event | {"eventType": "another.event"}))
    assert list(validator.iter_errors(event | {"payload": event["payload"] | {"unknown": 1}}))


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and isinstance(node.get("$ref"), str):
        yield node["$ref"]
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _references(inner)


def _events(operation: dict[str, Any]) -> set[str]:
    return {message["$ref"].rpartition("/")[2] for message in operation["messages"]}
