"""The catalogue: every event, and the service that produces it and those that consume it.

Terraform reads the same schemas/catalog.json and makes the queues and filter policies from it. An overlay adds services
and events, with their schemas beside it, and changes nothing else (examples/fraud).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shopflow import jsontext
from shopflow.domain.event import as_event_type
from shopflow.domain.order import Status

SCHEMAS = Path(__file__).parent.parent / "schemas"
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class EventSpec:
    """An event type: its producer, the version of its schema, and the status that it leads to, if any."""

    producer: str
    version: str
    status: Status | None


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service: its title, its colour in a terminal, and the event types that its queue receives.

    ``module``: how to run it (``python -m module``); None for ShopFlow's own services. ``threads``: consumers in one
    process. A service that mostly waits, as for a gateway, needs several. Any other gets fuller batches with one.
    ``batch_window_seconds``: how long a consumer lets messages collect after a batch that was not full, so that it
    needs fewer calls. It is for a service that nobody waits for.
    """

    name: str
    title: str
    colour: str
    consumes: frozenset[str]
    module: str | None = None
    threads: int = 1
    batch_window_seconds: int = 0

    @property
    def source(self) -> str:
        """The service's name in its events and log lines."""
        return f"{self.name}-service"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Events by type and services by name, in the catalogue's order. ``folders`` have the schemas."""

    events: Mapping[str, EventSpec]
    services: Mapping[str, ServiceSpec]
    folders: tuple[Path, ...] = (SCHEMAS,)

    @property
    def consumers(self) -> list[ServiceSpec]:
        """The services that have a queue."""
        return [service for service in self.services.values() if service.consumes]


def load_catalog(overlay: Path | None = None) -> Catalog:
    """Read the catalogue and an ``overlay``, if any.

    Raises ``OSError``, ``ValueError`` or ``KeyError`` when one is missing or malformed, or when the overlay has
    an entry that the catalogue has already.
    """
    raw = jsontext.loads((SCHEMAS / "catalog.json").read_text())
    added = jsontext.loads(overlay.read_text()) if overlay else {}
    raw_events, raw_services = (_both(raw[kind], added.get(kind, {})) for kind in ("events", "services"))
    events = {as_event_type(name): _event_spec(spec) for name, spec in raw_events.items()}
    services = {name: _service_spec(name, spec, frozenset(events)) for name, spec in raw_services.items()}
    return Catalog(events, services, (SCHEMAS, overlay.parent / "schemas") if overlay else (SCHEMAS,))


def _both(base: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    if taken := base.keys() & added.keys():
        raise ValueError(f"the overlay may only add: the catalogue already has {', '.join(sorted(taken))}")
    return {**base, **added}


def _event_spec(spec: Mapping[str, Any]) -> EventSpec:
    return EventSpec(spec["producer"], spec["version"], Status(spec["status"]) if "status" in spec else None)


def _service_spec(name: str, spec: Mapping[str, Any], every_type: frozenset[str]) -> ServiceSpec:
    consumed = every_type if spec["consumes"] == [EVERYTHING] else frozenset(map(as_event_type, spec["consumes"]))
    if unknown := consumed - every_type:
        raise ValueError(f"{name} consumes what no service produces: {', '.join(sorted(unknown))}")
    return ServiceSpec(
        name,
        spec["title"],
        spec["colour"],
        consumed,
        spec.get("module"),
        spec.get("threads", 1),
        spec.get("batch_window_seconds", 0),
    )
