"""The policy: a minor version adds optional fields; anything else is a new major version.

Each released version of an event, and of the request that places an order, is a file in ``schemas/released``. Events
are kept for ever and replayed, so a contract is compared with every released version of its major version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from shopflow import jsontext
from shopflow.contracts import load_schemas
from shopflow.errors import ConfigError

REQUEST = "place-order"
OVERLAYS = "examples/*/catalog.json"
ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"})
"""Keywords that explain a schema to people. They refuse no value, so they may change at any time."""
EXTENSIBLE = frozenset({"type", "properties", "required", "additionalProperties"})
"""Optional fields may be added to an object that has no other keywords and refuses unknown fields."""

Schema = Any
"""A JSON Schema without any ``$ref`` and without annotations: an object, true or false."""


class Version(NamedTuple):
    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Version:
        """``1.2``, or ``1.2.3``, whose last number is ignored. Raises ``ValueError`` for anything else."""
        major, minor, *_ = map(int, text.split("."))
        return cls(major, minor)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class Contract:
    """An event or a request as it is now, and all its released versions.

    ``schema`` is that of the whole message: envelope and payload. People set ``version`` in ``version_file``.
    ``folder`` holds the files of the released versions.
    """

    name: str
    version: Version
    schema: Schema
    version_file: str
    folder: Path
    released: Mapping[Version, Schema]

    def release(self) -> Path:
        """Write the file of this version. Returns its path."""
        file = self.folder / f"{self.version}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(jsontext.dumps(self.schema, indent=2) + "\n")
        return file


class Difference(NamedTuple):
    """A place where two schemas differ. ``optional``: it is a new optional field, the one thing that may be added."""

    field: str
    what: str
    optional: bool = False


def load_contracts(root: Path) -> list[Contract]:
    """The request and all events of the source tree at ``root``, with those of its overlays.

    Raises `ConfigError` when a file is missing or malformed, or when a released event is gone.
    """
    catalogs = [root / "schemas" / "catalog.json", *sorted(root.glob(OVERLAYS))]
    folders = [root / "schemas", *(file.parent / "schemas" for file in catalogs[1:])]
    try:
        schemas = load_schemas(*folders)
        openapi = jsontext.loads((root / "api" / "openapi.json").read_text())
        request_version = openapi["info"]["version"]
        contracts = [_contract(REQUEST, request_version, schemas[REQUEST], "api/openapi.json", folders[0])]
        for catalog, folder in zip(catalogs, folders, strict=True):
            for name, spec in jsontext.loads(catalog.read_text())["events"].items():
                schema = _message(name, schemas["envelope"], schemas[name])
                version_file = catalog.relative_to(root).as_posix()
                contracts.append(_contract(name, spec["version"], schema, version_file, folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"The contracts cannot be read: {error!r}") from None
    released = {file.parent.name for folder in folders for file in folder.glob("released/*/*.json")}
    if gone := released - {contract.name for contract in contracts}:
        raise ConfigError(
            f"{', '.join(sorted(gone))}: removed, but the audit log keeps such events for ever. Put it back into the "
            "catalogue, with its schema."
        )
    return contracts


def problem(contract: Contract) -> str | None:
    """How ``contract`` breaks the policy and what to do about it, on one line; None if it follows the policy."""
    newest = max(contract.released, default=contract.version)
    if contract.version < newest:
        return f"{newest} is released already: {_raise(contract, newest)}"
    for version, released in sorted(contract.released.items()):
        if version.major != contract.version.major:
            continue
        found = list(differences(released, contract.schema))
        if broken := [one for one in found if not one.optional]:
            advice = _raise(contract, Version(newest.major + 1, 0))
            return f"{_summary(broken)}, unlike in the released {version}: keep it as it was, or {advice}"
        if found and version == contract.version:
            advice = _raise(contract, Version(newest.major, newest.minor + 1))
            return f"{_summary(found)}, unlike in the released {version}: {advice}"
    return None


def differences(released: Schema, now: Schema, field: str = "") -> Iterator[Difference]:
    """Where two schemas, both as `normal` returns them, differ, field by field."""
    if not isinstance(released, dict) or not isinstance(now, dict):
        if jsontext.dumps(released) != jsontext.dumps(now):
            yield Difference(field, f"was {jsontext.dumps(released)} and is {jsontext.dumps(now)}")
        return
    for keyword in sorted(released.keys() | now.keys()):
        before, after = _shown(released, keyword), _shown(now, keyword)
        if before == after:
            continue
        if keyword == "properties" and keyword in released and keyword in now:
            yield from _differences_of_fields(released, now, field)
        elif keyword == "items" and keyword in released and keyword in now:
            yield from differences(released["items"], now["items"], f"{field}[]")
        else:
            yield Difference(field, f"{keyword} was {before} and is {after}")


def _differences_of_fields(released: Schema, now: Schema, field: str) -> Iterator[Difference]:
    closed = released.get("additionalProperties") is False and released.keys() <= EXTENSIBLE
    before, after = released["properties"], now["properties"]
    for name in sorted(before.keys() | after.keys()):
        path = f"{field}.{name}" if field else name
        if name not in after:
            yield Difference(path, "is gone")
        elif name not in before:
            yield Difference(path, "is new", optional=closed and name not in now.get("required", ()))
        else:
            yield from differences(before[name], after[name], path)


def normal(schema: Schema) -> Schema:
    """``schema`` without annotations, and with everything sorted whose order has no meaning."""
    if isinstance(schema, list):
        return [normal(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    demands = {keyword: _normal_value(keyword, schema[keyword]) for keyword in sorted(schema.keys() - ANNOTATIONS)}
    # A reference with a description beside it was resolved to an "allOf" of one.
    return demands["allOf"][0] if demands.keys() == {"allOf"} and len(demands["allOf"]) == 1 else demands


def _normal_value(keyword: str, value: Any) -> Any:
    if keyword in ("required", "enum", "type") and isinstance(value, list):
        return sorted(value, key=jsontext.dumps)
    if keyword in ("const", "enum"):
        return value
    if keyword == "properties":
        return {name: normal(value[name]) for name in sorted(value)}
    return normal(value)


def _contract(name: str, version: str, schema: Schema, version_file: str, schemas: Path) -> Contract:
    folder = schemas / "released" / name
    released = {Version.parse(file.stem): jsontext.loads(file.read_text()) for file in folder.glob("*.json")}
    return Contract(name, Version.parse(version), normal(schema), version_file, folder, released)


def _message(name: str, envelope: Schema, payload: Schema) -> Schema:
    """The schema of the whole message that carries the event ``name``."""
    return envelope | {"properties": envelope["properties"] | {"eventType": {"const": name}, "payload": payload}}


def _raise(contract: Contract, version: Version) -> str:
    return f"raise the version of {contract.name} in {contract.version_file} to {version}"


def _summary(found: list[Difference]) -> str:
    first = f"{found[0].field or 'the message'}: {found[0].what}"
    return first if len(found) == 1 else f"{first} (and {len(found) - 1} more)"


def _shown(schema: Schema, keyword: str) -> str:
    return jsontext.dumps(schema[keyword]) if keyword in schema else "absent"
