"""The contracts of schemas/, checked when an event is published and again when it is consumed.

Publishing is strict: an unknown field is an error. Consuming tolerates one thing: unknown fields in an event of a newer
minor version than the one known here. A new major version is a breach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
from jsonschema import Draft202012Validator, TypeChecker
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from shopflow import jsontext
from shopflow.catalog import Catalog
from shopflow.domain.event import Event
from shopflow.domain.text import flaw, unsendable
from shopflow.errors import ConfigError, ContractBreach, InvalidRequest

MAX_EVENT_BYTES = 256 * 1024
"""SNS and SQS take no larger message."""
MAX_ERRORS = 50
"""Errors compared to find the one to report. A hostile text can have tens of thousands."""


class Contracts:
    """The schemas, loaded once, and the checks that the services make with them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        schemas = load_schemas(*catalog.folders)
        for event_type in catalog.events:
            if "orderId" not in schemas.get(event_type, {}).get("required", ()):
                raise ConfigError(f"{event_type}: has no schema, or one that does not require orderId")
        self._strict = _compiled(schemas)
        self._tolerant = _compiled({name: _open(schema) for name, schema in schemas.items()})

    def encode(self, event: Event) -> str:
        """The text of ``event`` for the wire.

        Raises `ContractBreach` for an event that no consumer or no queue would accept.
        """
        try:
            envelope = event.to_json()
        except OverflowError as error:
            raise ContractBreach(f"timestamp: out of range: {error}") from None
        self._check(envelope, self._strict)
        if event.version != self._catalog.events[event.event_type].version:
            raise ContractBreach(f"{event.event_type}: version {event.version} is not the catalogue's")
        text = jsontext.dumps(envelope)
        if found := unsendable(text):
            raise ContractBreach(f"{event.event_type}: has {found}")
        if len(text.encode()) > MAX_EVENT_BYTES:
            raise ContractBreach(f"{event.event_type}: larger than {MAX_EVENT_BYTES} bytes")
        return text

    def decode(self, text: str) -> Event:
        """The event in ``text``. Raises `ContractBreach` that names the field and what is wrong with it."""
        try:
            envelope = jsontext.loads(text)
        except ValueError as error:
            raise ContractBreach(f"not JSON: {error}") from None
        self._check(envelope, self._tolerant if self._is_newer_minor(envelope) else self._strict)
        event = self._event(envelope)
        if event.payload["orderId"] != event.correlation_id:
            raise ContractBreach("correlationId: is not the payload's orderId")
        return event

    def check_request(self, body: Any) -> None:
        """Check the body of ``POST /orders``. Raises `InvalidRequest` naming the field.

        Characters are checked here and not in the schema, because the two validators' regular expressions do not have
        the same Unicode tables.
        """
        error = self._strict["place-order"].first_error(body)
        if error:
            raise InvalidRequest(error)
        for field, text in _texts(body):
            if wrong := flaw(text):
                raise InvalidRequest(f"{field}: {wrong}")

    def _event(self, envelope: Mapping[str, Any]) -> Event:
        try:
            return Event.from_json(envelope)
        except (ValueError, ArithmeticError, OverflowError) as error:
            raise ContractBreach(f"out of range: {error}") from None

    def _is_newer_minor(self, envelope: Any) -> bool:
        """Whether it claims to be a known event in a newer minor version of the same major version."""
        try:
            known = self._catalog.events[envelope["eventType"]].version
            major, minor = (int(part) for part in envelope["version"].split("."))
        except (TypeError, KeyError, ValueError, AttributeError):
            return False
        known_major, known_minor = (int(part) for part in known.split("."))
        return major == known_major and minor > known_minor

    def _check(self, envelope: Any, schemas: Mapping[str, _Schema]) -> None:
        error = schemas["envelope"].first_error(envelope)
        if error:
            raise ContractBreach(error)
        event_type, version = envelope["eventType"], envelope["version"]
        if event_type not in self._catalog.events:
            raise ContractBreach(f"eventType: {event_type} is not in the catalogue")
        known = self._catalog.events[event_type].version
        if version.split(".")[0] != known.split(".")[0]:
            raise ContractBreach(f"version: {event_type} {version} is not {known.split('.')[0]}.x")
        error = schemas[event_type].first_error(envelope["payload"], within="payload")
        if error:
            raise ContractBreach(error)


class _Schema:
    """One schema in two validators: jsonschema-rs finds out whether a value is valid, in a hundredth of the time;
    jsonschema says what is wrong with one that is not, and has the last word.
    """

    def __init__(self, schema: Any) -> None:
        self._fast = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        self._wordy = WordyValidator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)

    def first_error(self, value: Any, within: str = "") -> str | None:
        """The most important error of ``value`` as ``field: message``; None if it is valid."""
        try:
            if self._fast.is_valid(value):
                return None
            error = best_match(islice(self._wordy.iter_errors(value), MAX_ERRORS))
        except (ArithmeticError, RecursionError, ValueError):
            return f"{within or 'body'}: a value is out of range"
        return _describe(error, within) if error else None


def _is_integer(_: TypeChecker, value: Any) -> bool:
    """JSON Schema's integer: 2.0 is one. Numbers with a fraction are `Decimal` here, which jsonschema does not know."""
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


WordyValidator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
)


def _compiled(schemas: Mapping[str, Any]) -> dict[str, _Schema]:
    return {name: _Schema(schema) for name, schema in schemas.items() if name != "common"}


def _open(schema: Any) -> Any:
    """The same schema, with unknown fields allowed."""
    if isinstance(schema, dict):
        return {key: _open(value) for key, value in schema.items() if key != "additionalProperties"}
    return [_open(item) for item in schema] if isinstance(schema, list) else schema


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in ``value``, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, _joined(path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, _joined(path, number))


def _describe(error: ValidationError, within: str) -> str:
    path = within
    for step in error.absolute_path:
        path = _joined(path, step)
    return f"{path or 'body'}: {in_words(error)}"


def _joined(path: str, step: str | int) -> str:
    return f"{path}[{step}]" if isinstance(step, int) else f"{path}.{step}" if path else step


SUFFIX = ".schema.json"


def load_schemas(*folders: Path) -> dict[str, Any]:
    """The schemas in ``folders`` and their ``events/``, by name (``order.created``), with every ``$ref`` replaced.

    A validator without references to look up is several times faster. Raises ``OSError``; ``ValueError``, also when two
    folders have the same schema; or ``KeyError`` naming a reference that leads nowhere.
    """
    files = [file for folder in folders for part in (folder, folder / "events") for file in part.glob(f"*{SUFFIX}")]
    schemas = {file.name.removesuffix(SUFFIX): jsontext.loads(file.read_text()) for file in files}
    by_id = {schema["$id"]: schema for schema in schemas.values()}
    if len(by_id) < len(files):
        raise ValueError(f"a schema is there twice, by its name or its $id, in {', '.join(map(str, folders))}")
    return {name: _whole(schema, schema, by_id) for name, schema in schemas.items()}


def _whole(node: Any, document: Any, by_id: Mapping[str, Any]) -> Any:
    """``node`` of ``document`` with its references replaced. No schema refers to itself."""
    if isinstance(node, list):
        return [_whole(item, document, by_id) for item in node]
    if not isinstance(node, dict):
        return node
    rest = {key: _whole(value, document, by_id) for key, value in node.items() if key not in ("$ref", "$defs")}
    if "$ref" not in node:
        return rest
    target = _target(node["$ref"], document, by_id)
    return {**rest, "allOf": [target]} if rest else target


def _target(reference: str, document: Any, by_id: Mapping[str, Any]) -> Any:
    identifier, _, pointer = reference.partition("#")
    document = by_id[identifier] if identifier else document
    node = document
    for step in pointer.split("/")[1:]:
        node = node[step]
    return _whole(node, document, by_id)


MAX_SHOWN_CHARS = 50
"""Of a text from the sender."""
_TYPES = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_BOUNDS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} entries",
    "maxItems": "must have at most {} entries",
    "minProperties": "must have at least {} fields",
    "maxProperties": "must have at most {} fields",
    "const": "must be {}",
    "format": "must have the form {}",
}


def in_words(error: ValidationError) -> str:
    """How ``error.instance`` breaks its schema, in the words of JSON. For a pattern: the schema's own description."""
    rule, wanted, value = str(error.validator), cast("Any", error.validator_value), cast("Any", error.instance)
    schema = error.schema if isinstance(error.schema, dict) else {}
    if rule in ("pattern", "not", "format", "multipleOf", "anyOf") and "description" in schema:
        return f"must be {schema['description']}"
    match rule:
        case "type":
            types = [wanted] if isinstance(wanted, str) else wanted
            return f"must be {' or '.join(_TYPES[name] for name in types)}"
        case "enum":
            return f"must be one of {', '.join(map(jsontext.dumps, wanted))}"
        case "required":
            return f"{next(name for name in wanted if name not in value)} is missing"
        case "additionalProperties" if wanted is False:
            unknown = next(name for name in value if name not in schema.get("properties", {}))
            return f"{_shown(unknown)} is not a known field"
        case "minItems" | "minLength" | "minProperties" if wanted == 1:
            return "must not be empty"
        case "uniqueItems":
            return "must not have the same entry twice"
    return _BOUNDS.get(rule, "is not allowed").format(jsontext.dumps(wanted))


def _shown(text: str) -> str:
    return jsontext.dumps(text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…")
