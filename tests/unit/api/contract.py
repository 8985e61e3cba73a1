"""Checks answers against the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from api.routes import OPENAPI
from tests.unit.api.shop import Answer

DOCUMENT = json.loads(OPENAPI.read_text())
VALIDATOR = Draft202012Validator(DOCUMENT, format_checker=Draft202012Validator.FORMAT_CHECKER)
_ERROR = DOCUMENT["components"]["responses"]["Error"]
GENERAL_ERRORS = {int(status) for status in re.findall(r"(\d{3}):", _ERROR["description"])}
"""The statuses that every operation may answer."""


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    content: dict[str, Any]

    @property
    def responses(self) -> dict[str, Any]:
        return dict(self.content["responses"])

    @property
    def target(self) -> str:
        """The path with the examples of its parameters."""
        examples = {each["name"]: each["example"] for each in DOCUMENT["components"]["parameters"].values()}
        return self.path.format_map(examples)


def operations() -> Iterator[Operation]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield Operation(method.upper(), path, operation)


OPERATIONS = list(operations())


def check(operation: Operation, answer: Answer) -> None:
    """Raises ``AssertionError`` or ``ValidationError`` unless the document has ``answer`` for ``operation``."""
    response = operation.responses.get(str(answer.status))
    if response is None:
        assert answer.status in GENERAL_ERRORS, f"{operation}: {answer.status} is not in the document"
        response = operation.responses["default"]
    response = _resolved(response)
    for name, reference in response.get("headers", {}).items():
        header = _resolved(reference)
        assert name.title() in answer.headers or not header.get("required"), f"{name} is missing"
        if name.title() in answer.headers:
            _validate(header["schema"], answer.headers[name.title()])
    if "content" not in response:
        assert answer.text == ""
        return
    media_type = answer.headers["Content-Type"].partition(";")[0]
    schema = response["content"][media_type]["schema"]
    if media_type == "text/event-stream":
        for message in messages(answer.text):
            _validate(schema["properties"]["data"]["contentSchema"], message)
    else:
        _validate(schema, json.loads(answer.text) if media_type == "application/json" else answer.text)


def check_value(schema: str, value: Any) -> None:
    """Raises ``ValidationError`` unless ``value`` is as the schema of that name says."""
    _validate({"$ref": f"#/components/schemas/{schema}"}, value)


def messages(text: str) -> list[Any]:
    """The messages in the Server-Sent Events of ``text``."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def _resolved(value: Any) -> Any:
    """What ``value`` refers to, or else ``value``."""
    for step in value["$ref"].removeprefix("#/").split("/") if "$ref" in value else ():
        value = (DOCUMENT if step == "components" else value)[step]
    return value


def _validate(schema: Any, value: Any) -> None:
    VALIDATOR.evolve(schema=schema).validate(value)
