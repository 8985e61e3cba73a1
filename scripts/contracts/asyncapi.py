"""The AsyncAPI 3 document of the catalogue and the schemas: which service sends and receives which event where."""

from __future__ import annotations

import tomllib
from typing import Any

from scripts.contracts.released import Schema
from scripts.infra.stack import ROOT
from shopflow.catalog import Catalog, ServiceSpec
from shopflow.contracts import load_schemas

DOCUMENT = ROOT / "docs" / "asyncapi.json"
VERSION = "3.0.0"
TOPIC = "shopflow-orders"
"""The names of topic and queues are those of a stack with Terraform's default ``name_prefix``."""
MAX_RECEIVES = 3
"""The same as in terraform/modules/consumer."""

Json = dict[str, Any]


def asyncapi(catalog: Catalog) -> Json:
    """The document: topic and queues as channels, and what each service sends and receives on them."""
    schemas = load_schemas(*catalog.folders)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    operations: Json = {}
    for service in catalog.services.values():
        if sent := [name for name, spec in catalog.events.items() if spec.producer == service.name]:
            summary = f"The {service.title} Service publishes its events."
            operations[f"{service.name}-publishes"] = _operation("send", TOPIC, sent, summary)
        if received := sorted(service.consumes):
            summary = f"The {service.title} Service consumes its queue."
            operations[f"{service.name}-consumes"] = _operation("receive", _queue_name(service), received, summary)
    topic = {
        "address": TOPIC,
        "title": "All events",
        "description": "The SNS topic. Each subscription filters on the message attribute eventType.",
        "messages": {name: _to("components/messages", name) for name in catalog.events},
        "bindings": {"sns": {"name": TOPIC, "ordering": {"type": "standard"}, "bindingVersion": "0.1.0"}},
    }
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "ShopFlow events",
            "version": project["version"],
            "description": f"{project['description']}. Generated: python -m scripts.contracts asyncapi",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {TOPIC: topic} | {_queue_name(one): _queue(one) for one in catalog.consumers},
        "operations": operations,
        "components": {
            "messages": {name: _message(name, spec.version, schemas[name]) for name, spec in catalog.events.items()},
            "schemas": {name: _embedded(schemas[name]) for name in ("envelope", *catalog.events)},
        },
    }


def _queue(service: ServiceSpec) -> Json:
    name, dead_letters = _queue_name(service), f"shopflow-{service.name}-dlq"
    redrive = {"deadLetterQueue": {"name": dead_letters}, "maxReceiveCount": MAX_RECEIVES}
    return {
        "address": name,
        "title": f"Events for the {service.title} Service",
        "description": f"The SQS queue, subscribed to {TOPIC} with raw message delivery.",
        "messages": {event: _to("components/messages", event) for event in sorted(service.consumes)},
        "bindings": {
            "sqs": {
                "queue": {"name": name, "fifoQueue": False, "redrivePolicy": redrive},
                "deadLetterQueue": {"name": dead_letters, "fifoQueue": False},
                "bindingVersion": "0.2.0",
            }
        },
    }


def _operation(action: str, channel: str, events: list[str], summary: str) -> Json:
    return {
        "action": action,
        "channel": _to("channels", channel),
        "summary": summary,
        "messages": [_to(f"channels/{channel}/messages", event) for event in events],
    }


def _message(name: str, version: str, schema: Schema) -> Json:
    """The whole message: the envelope with the payload of this event."""
    own = {"eventType": {"const": name}, "version": {"const": version}, "payload": _to("components/schemas", name)}
    return {
        "name": name,
        "title": name,
        "summary": schema["description"],
        "contentType": "application/json",
        "correlationId": {"location": "$message.payload#/correlationId", "description": "the order's id"},
        "headers": {
            "type": "object",
            "description": "SNS message attributes",
            "required": ["eventType"],
            "properties": {"eventType": {"const": name}},
        },
        "payload": {"allOf": [_to("components/schemas", "envelope"), {"type": "object", "properties": own}]},
    }


def _embedded(schema: Schema) -> Schema:
    """A schema as part of the document, without ``$id``, which would change what its references mean."""
    return {key: value for key, value in schema.items() if key not in ("$schema", "$id")}


def _queue_name(service: ServiceSpec) -> str:
    return f"shopflow-{service.name}-queue"


def _to(where: str, name: str) -> Json:
    return {"$ref": f"#/{where}/{name}"}
