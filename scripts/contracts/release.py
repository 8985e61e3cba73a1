"""All contracts of one state of the source: its schemas, and what its catalogue says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.contracts.schema import Schema, normal
from shopflow import jsontext
from shopflow.catalog import EVERYTHING
from shopflow.contracts import load_schemas
from shopflow.errors import ConfigError

REQUEST = "place-order"
FILES = ("schemas", "api/openapi.json", "examples")
"""Where contracts are, from the root of the source."""
OVERLAYS = "examples/*/catalog.json"


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Which changes a contract's readers may meet: a new minor version adds fields, a new major one anything."""

    major: int
    minor: int

    @classmethod
    def of(cls, text: str) -> Version:
        """``1.2`` or ``1.2.3``. Raises ``ValueError`` for anything else."""
        major, minor, *_ = map(int, text.split("."))
        return cls(major, minor)

    @property
    def next_minor(self) -> Version:
        return Version(self.major, self.minor + 1)

    @property
    def next_major(self) -> Version:
        return Version(self.major + 1, 0)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class Contract:
    """One kind of message. ``schema`` is of the whole message, envelope and payload, in normal form.

    ``status``: what an event says that the order's status is now, if it says so. ``readers``: the services that
    consume it; for a request, the service that answers it.
    """

    name: str
    version: Version
    schema: Schema
    readers: tuple[str, ...]
    status: str | None = None

    @property
    def is_request(self) -> bool:
        return self.name == REQUEST


Release = Mapping[str, Contract]
"""Contracts by name."""


def load_release(root: Path, label: str) -> Release:
    """The contracts of the source at ``root``, which people know as ``label``; those of its overlays too.

    Raises `ConfigError` when they cannot be read.
    """
    try:
        catalogs = [root / "schemas" / "catalog.json", *sorted(root.glob(OVERLAYS))]
        catalog = _merged([jsontext.loads(file.read_text()) for file in catalogs])
        schemas = load_schemas(root / "schemas", *(file.parent / "schemas" for file in catalogs[1:]))
        api_version = jsontext.loads((root / "api" / "openapi.json").read_text())["info"]["version"]
        request = Contract(REQUEST, Version.of(api_version), normal(schemas[REQUEST]), ("order",))
        return {name: _event(name, catalog, schemas) for name in catalog["events"]} | {REQUEST: request}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"The contracts of {label} cannot be read: {error!r}") from None


def _merged(catalogs: Sequence[Any]) -> dict[str, Any]:
    return {
        kind: {name: spec for one in catalogs for name, spec in one.get(kind, {}).items()}
        for kind in ("events", "services")
    }


def message(envelope: Schema, name: str, payload: Schema) -> Schema:
    """The schema of the whole message that carries the event ``name``."""
    properties = envelope["properties"] | {"eventType": {"const": name}, "payload": payload}
    return envelope | {"properties": properties}


def _event(name: str, catalog: Any, schemas: Mapping[str, Schema]) -> Contract:
    spec = catalog["events"][name]
    readers = [
        service for service, of in catalog["services"].items() if name in of["consumes"] or EVERYTHING in of["consumes"]
    ]
    schema = normal(message(schemas["envelope"], name, schemas[name]))
    return Contract(name, Version.of(spec["version"]), schema, tuple(readers), spec.get("status"))
