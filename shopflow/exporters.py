"""Which spans and metrics the configuration asks for."""

from __future__ import annotations

import sys

from shopflow.catalog import ServiceSpec
from shopflow.clock import SystemClock
from shopflow.config import Config
from shopflow.errors import ConfigError
from shopflow.metrics import EmfMetrics, NoMetrics
from shopflow.telemetry import Telemetry
from shopflow.tracing import NoTracing, Tracing


def telemetry_of(service: ServiceSpec, config: Config) -> Telemetry:
    """What ``config`` asks for. Raises `ConfigError` when that takes a package that is not installed."""
    metrics = EmfMetrics(service.name, SystemClock(), sys.stdout.write) if config.metrics else NoMetrics()
    return Telemetry(_exporting(service) if config.tracing else NoTracing(), metrics)


def _exporting(service: ServiceSpec) -> Tracing:
    try:
        from shopflow.otel import exporting
    except ImportError as error:
        raise ConfigError(
            f"OTEL_* variables ask for spans, which takes a package that is missing ({error.name}): "
            "pip install -r requirements/otel.txt"
        ) from None
    return exporting(service.source)
