"""Checks answers against the OpenAPI document, with a reader of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from api.openapi import load_document
from shopflow import jsontext
from tests.unit.api.shop import Answer

URI = "urn:document"
METHODS = ("get", "head", "options", "post", "delete")


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    statuses: frozenset[int]


class Contract:
    """The document. An answer that breaks it raises ``AssertionError`` or ``ValidationError``."""

    def __init__(self) -> None:
        self.document = load_document()
        resource = DRAFT202012.create_resource(self.document)
        self._registry: Registry[Any] = Registry().with_resource(URI, resource)
        self._validators: dict[str, Draft202012Validator] = {}

    def operations(self) -> Iterator[Operation]:
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield Operation(method.upper(), path, frozenset(map(int, item[method]["responses"])))

    def check(self, method: str, target: str, answer: Answer) -> None:
        """Check that the document has ``answer`` for ``method`` and ``target``."""
        place = self._place(method.lower(), target.partition("?")[0], answer.status)
        response = self._at(place)
        for name, header in response.get("headers", {}).items():
            self._check_header(name, header, answer.headers)
        if "content" not in response:
            assert answer.text == ""
            return
        media_type = answer.headers["Content-Type"].partition(";")[0]
        assert media_type in response["content"]
        for value in _values(media_type, answer.text):
            self.check_value(f"{place}/content/{_escaped(media_type)}/schema", value)

    def check_value(self, pointer: str, value: Any) -> None:
        """Check ``value`` against the schema at ``pointer``."""
        if pointer not in self._validators:
            schema, checker = {"$ref": f"{URI}#{pointer}"}, Draft202012Validator.FORMAT_CHECKER
            self._validators[pointer] = Draft202012Validator(schema, registry=self._registry, format_checker=checker)
        self._validators[pointer].validate(value)

    def _place(self, method: str, path: str, status: int) -> str:
        found = [each for each in self.document["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)]
        if not found:
            assert status == 404
            return "/components/responses/PathNotFound"
        item = self.document["paths"][found[0]]
        if method not in item:
            assert status == 405
            return "/components/responses/MethodNotAllowed"
        assert str(status) in item[method]["responses"], f"{method} {path}: {status} is not in the document"
        response = item[method]["responses"][str(status)]
        if "$ref" in response:
            return str(response["$ref"]).removeprefix("#")
        return f"/paths/{_escaped(found[0])}/{method}/responses/{status}"

    def _check_header(self, name: str, header: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        pointer = header["$ref"].removeprefix("#")
        if name.title() in headers:
            self.check_value(f"{pointer}/schema", headers[name.title()])
        else:
            assert not self._at(pointer).get("required"), f"{name} is missing"

    def _at(self, pointer: str) -> Any:
        value: Any = self.document
        for step in pointer.removeprefix("/").split("/"):
            value = value[step.replace("~1", "/")]
        return value


def messages(text: str) -> list[Any]:
    """The messages in the Server-Sent Events of ``text``."""
    return [jsontext.loads(event["data"]) for event in _values("text/event-stream", text)]


def _values(media_type: str, text: str) -> list[Any]:
    """What the schema of ``media_type`` describes: each event of a stream, otherwise the whole text."""
    if media_type == "text/event-stream":
        return [{"data": event.removeprefix("data: ")} for event in text.split("\n\n") if event.startswith("data: ")]
    return [jsontext.loads(text) if media_type == "application/json" else text]


def _escaped(step: str) -> str:
    return step.replace("/", "~1")
