"""The Order Service as AWS Lambda functions: ``http`` behind an HTTP API, ``relay`` by a schedule.

No long-lived process is there: a stream is cut into pieces that its client asks for one after the other, and the relay
is told by its schedule what has fallen due since it ran last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from api.gateway import Answer, answer
from api.service import NAME, Parts, build, ports_on
from shopflow.config import adopt_environment, configured_catalog, load_config
from shopflow.log import start_logging
from shopflow.telemetry import telemetry_of

OVERLAP_MS = 10_000
"""Swept again each time, since a schedule does not keep to the second. To look at an order twice has no effect."""


@dataclass(frozen=True, slots=True)
class Service:
    """The Order Service's parts, and how often its relay is invoked."""

    parts: Parts
    relay_interval_ms: int


def http(event: Mapping[str, Any], context: object) -> Answer:  # noqa: ARG001 (Lambda's signature)
    """Answer one request."""
    return answer(_service().parts.api, event)


def relay(event: Mapping[str, Any], context: object) -> None:  # noqa: ARG001 (Lambda's signature)
    """Sweep what has fallen due since the schedule's last event. Raises `Unavailable`: Lambda tries the event again."""
    service = _service()
    due_at = round(datetime.fromisoformat(event["time"]).timestamp() * 1000)
    service.parts.relay.sweep_between(due_at - service.relay_interval_ms - OVERLAP_MS, due_at)


@cache
def _service() -> Service:
    """Made at the first invocation, and kept for as long as Lambda keeps the process."""
    env = adopt_environment()
    config, catalog = load_config(env), configured_catalog(env)
    start_logging(catalog.services[NAME], config.log_format)
    telemetry = telemetry_of(catalog.services[NAME], config)
    parts = build(catalog, ports_on(config), ops_token=config.ops_token, telemetry=telemetry)
    return Service(parts, round(config.relay_interval_seconds * 1000))
