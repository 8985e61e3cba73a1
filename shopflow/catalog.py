"""The architecture in one file: which events there are and which service produces and consumes each.

Terraform reads the same schemas/catalog.json to make the queues and their filter policies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shopflow import jsontext
from shopflow.domain.event import Event, payload_of
from shopflow.domain.order import EventType, Order, Status

SCHEMAS = Path(__file__).parent.parent / "schemas"
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class EventSpec:
    """An event type: who produces it, the version of its schema, and the status that it means."""

    producer: str
    version: str
    status: Status


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service: its name for people, its colour in a terminal, and the event types that its queue receives."""

    name: str
    title: str
    colour: str
    consumes: frozenset[EventType]

    @property
    def source(self) -> str:
        """How the service signs its events and its log lines."""
        return f"{self.name}-service"


@dataclass(frozen=True, slots=True)
class Catalog:
    events: Mapping[EventType, EventSpec]
    services: Mapping[str, ServiceSpec]

    @property
    def consumers(self) -> list[ServiceSpec]:
        """The services that have a queue."""
        return [service for service in self.services.values() if service.consumes]

    def stored_event(self, order: Order) -> Event:
        """The event in the order's outbox, rebuilt whole: what is published is always what is stored.

        Raises ``ValueError`` when the outbox is empty.
        """
        header = order.outbox
        if header is None:
            raise ValueError(f"{order.order_id}: nothing in the outbox")
        spec = self.events[header.event_type]
        return Event(
            event_id=header.event_id,
            event_type=header.event_type,
            version=spec.version,
            time_ms=header.time_ms,
            source=self.services[spec.producer].source,
            correlation_id=order.order_id,
            causation_id=header.causation_id,
            payload=payload_of(order, header.event_type),
        )


def load_catalog(path: Path = SCHEMAS / "catalog.json") -> Catalog:
    """Read the catalogue. Raises ``OSError``, ``ValueError`` or ``KeyError`` when it is missing or malformed."""
    raw = jsontext.loads(path.read_text())
    events = {
        EventType(name): EventSpec(spec["producer"], spec["version"], Status(spec["status"]))
        for name, spec in raw["events"].items()
    }
    services = {
        name: ServiceSpec(name, spec["title"], spec["colour"], _consumed(spec["consumes"]))
        for name, spec in raw["services"].items()
    }
    return Catalog(events, services)


def _consumed(names: list[str]) -> frozenset[EventType]:
    return frozenset(EventType) if names == [EVERYTHING] else frozenset(map(EventType, names))
