"""docs/asyncapi.json is current and valid AsyncAPI 3, and describes the events.

asyncapi-3.0.0.schema.json is schemas/3.0.0.json of the npm package @asyncapi/specs 6.11.1, unchanged:
(c) the AsyncAPI Initiative and contributors, Apache License 2.0 (asyncapi-3.0.0.schema.LICENSE beside it).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

from scripts.contracts.asyncapi import DOCUMENT, asyncapi
from shopflow import jsontext
from shopflow.catalog import SCHEMAS, load_catalog

CATALOG = load_catalog()
WRITTEN = jsontext.loads(DOCUMENT.read_text())
SPECIFICATION = Draft7Validator(json.loads(Path(__file__).with_name("asyncapi-3.0.0.schema.json").read_text()))
EVENT_EXAMPLES = [
    path for path in sorted((SCHEMAS / "examples" / "valid").glob("*.json")) if not path.name.startswith("place-order")
]


def test_the_document_is_current() -> None:
    generated = jsontext.dumps(asyncapi(CATALOG), indent=2) + "\n"
    assert generated == DOCUMENT.read_text(), "run: python -m scripts.contracts asyncapi"


def test_the_document_is_valid_asyncapi_3() -> None:
    assert [error.message for error in SPECIFICATION.iter_errors(WRITTEN)] == []


def test_the_messages_of_the_document_describe_the_events() -> None:
    """The document is enough for a tool: it needs no other file."""
    registry: Registry[Any] = Registry().with_resource("urn:document", DRAFT7.create_resource(WRITTEN))
    for event in (jsontext.loads(path.read_text()) for path in EVENT_EXAMPLES):
        at = f"urn:document#/components/messages/{event['eventType']}/payload"
        validator = Draft7Validator({"$ref": at}, registry=registry, format_checker=Draft7Validator.FORMAT_CHECKER)
        assert not list(validator.iter_errors(event)), event["eventType"]
        assert list(validator.iter_errors(event | {"eventType": "another.event"}))
        assert list(validator.iter_errors(event | {"payload": event["payload"] | {"unknown": 1}}))
