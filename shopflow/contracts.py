"""The contracts of schemas/: every event is checked when it is published, and again when it is consumed.

Publishing is strict: an unknown field is an error. Consuming is as strict, with one exception: an event of a newer
minor version may have unknown fields. An event of another major version is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs

from shopflow import jsontext
from shopflow.catalog import Catalog
from shopflow.domain.event import Event
from shopflow.domain.text import flaw, unsendable
from shopflow.errors import ConfigError, ContractBreach, InvalidRequest
from shopflow.ports import MAX_BATCH_BYTES


class Contracts:
    """The schemas of a catalogue, compiled once, and the three checks that services make with them.

    Raises `ConfigError` when an event of the catalogue has no schema, or one that does not require ``orderId``.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        schemas = load_schemas(*catalog.folders)
        for event_type in catalog.events:
            if "orderId" not in schemas.get(event_type, {}).get("required", ()):
                raise ConfigError(f"{event_type}: has no schema, or one that does not require orderId")
        self._strict = {name: CompiledSchema(schema) for name, schema in schemas.items()}
        self._tolerant = {name: CompiledSchema(_open(schema)) for name, schema in schemas.items()}

    def encode(self, event: Event) -> str:
        """The JSON text of ``event``, at most 256 KiB.

        Raises `ContractBreach` for an event that a consumer would refuse or that a queue would not carry.
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
        if len(text.encode()) > MAX_BATCH_BYTES:
            raise ContractBreach(f"{event.event_type}: larger than {MAX_BATCH_BYTES} bytes")
        return text

    def decode(self, text: str) -> Event:
        """The event in a JSON text. Raises `ContractBreach` that names the field and says what is wrong with it."""
        try:
            envelope = jsontext.loads(text)
        except ValueError as error:
            raise ContractBreach(f"not JSON: {error}") from None
        self._check(envelope, self._tolerant if self._is_newer_minor(envelope) else self._strict)
        try:
            event = Event.from_json(envelope)
        except (ValueError, ArithmeticError) as error:
            raise ContractBreach(f"out of range: {error}") from None
        if event.payload["orderId"] != event.correlation_id:
            raise ContractBreach("correlationId: is not the payload's orderId")
        return event

    def check_request(self, body: Any) -> None:
        """Check the body of ``POST /orders``. Raises `InvalidRequest` that names the field.

        Whether a text is visible is checked here and not in the schema: the answer is in Unicode's tables, on which
        regular expressions of different languages do not agree.
        """
        if error := self._strict["place-order"].error(body):
            raise InvalidRequest(error)
        for field, text in _texts(body):
            if wrong := flaw(text):
                raise InvalidRequest(f"{field}: {wrong}")

    def _is_newer_minor(self, envelope: Any) -> bool:
        """Whether ``envelope``, valid or not, names a known event in a newer minor version of its major version."""
        try:
            known = self._catalog.events[envelope["eventType"]].version
            major, minor = (int(part) for part in envelope["version"].split("."))
        except (TypeError, KeyError, ValueError, AttributeError):
            return False
        known_major, known_minor = (int(part) for part in known.split("."))
        return major == known_major and minor > known_minor

    def _check(self, envelope: Any, schemas: Mapping[str, CompiledSchema]) -> None:
        if error := schemas["envelope"].error(envelope):
            raise ContractBreach(error)
        event_type, version = envelope["eventType"], envelope["version"]
        if event_type not in self._catalog.events:
            raise ContractBreach(f"eventType: {event_type} is not in the catalogue")
        major = self._catalog.events[event_type].version.split(".")[0]
        if version.split(".")[0] != major:
            raise ContractBreach(f"version: {event_type} {version} is not {major}.x")
        if error := schemas[event_type].error(envelope["payload"], within="payload"):
            raise ContractBreach(error)


class CompiledSchema:
    """A compiled JSON Schema without ``$ref``. It describes errors in words for the sender of the value."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)

    def error(self, value: Any, within: str = "") -> str | None:
        """The first thing that is wrong with ``value``, as "field: message"; None if it is valid.

        ``within`` is the field that holds the value.
        """
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            path = within
            for step in error.instance_path:
                path = _joined(path, step)
            *way, rule = error.schema_path
            schema = self._schema
            for step in way:
                schema = schema[step]
            return f"{path or 'body'}: {_in_words(str(rule), schema, error.instance)}"
        except ValueError:  # nested too deeply
            return f"{within or 'body'}: a value is out of range"
        return None


def _open(schema: Any) -> Any:
    """The same schema, but unknown fields are allowed."""
    if isinstance(schema, dict):
        return {key: _open(value) for key, value in schema.items() if key != "additionalProperties"}
    return [_open(item) for item in schema] if isinstance(schema, list) else schema


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text within ``value``, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, _joined(path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, _joined(path, number))


def _joined(path: str, step: str | int) -> str:
    return f"{path}[{step}]" if isinstance(step, int) else f"{path}.{step}" if path else step


SUFFIX = ".schema.json"


def load_schemas(*folders: Path) -> dict[str, Any]:
    """The schemas in ``folders`` and their ``events/``, by name (``order.created``), with every ``$ref`` replaced.

    A validator without references to look up is several times faster. Raises ``OSError``; ``ValueError``, also when two
    schemas have the same name or ``$id``; or ``KeyError`` naming a reference that leads nowhere.
    """
    files = [file for folder in folders for part in (folder, folder / "events") for file in part.glob(f"*{SUFFIX}")]
    schemas = {file.name.removesuffix(SUFFIX): jsontext.loads(file.read_text()) for file in files}
    by_id = {schema["$id"]: schema for schema in schemas.values()}
    if len(by_id) < len(files):
        raise ValueError(f"a schema exists twice, by its name or its $id, in {', '.join(map(str, folders))}")
    return {name: _whole(schema, schema, by_id) for name, schema in schemas.items()}


def _whole(node: Any, document: Any, by_id: Mapping[str, Any]) -> Any:
    """``node`` of ``document`` with its references resolved. No schema may refer to itself."""
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
"""How much of a text that the sender chose is repeated in a message."""
_BOUNDS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} entries",
    "maxItems": "must have at most {} entries",
    "const": "must be {}",
    "format": "must have the form {}",
}


def _in_words(rule: str, schema: Any, value: Any) -> str:
    """How ``value`` breaks the ``rule`` of ``schema``. The description of a pattern says more than the pattern."""
    wanted = schema.get(rule)
    if rule in ("pattern", "not", "format", "multipleOf", "anyOf") and "description" in schema:
        return f"must be {schema['description']}"
    match rule:
        case "type":
            types = [wanted] if isinstance(wanted, str) else wanted
            return "must be " + " or ".join(f"an {name}" if name[0] in "aio" else f"a {name}" for name in types)
        case "required":
            return f"{next(name for name in wanted if name not in value)} is missing"
        case "additionalProperties" if wanted is False:
            unknown = next(name for name in value if name not in schema.get("properties", {}))
            shown = unknown if len(unknown) <= MAX_SHOWN_CHARS else unknown[:MAX_SHOWN_CHARS] + "…"
            return f"{jsontext.dumps(shown)} is not a known field"
        case "minItems" | "minLength" if wanted == 1:
            return "must not be empty"
    return _BOUNDS.get(rule, f"breaks the rule {rule}").format(jsontext.dumps(wanted))
