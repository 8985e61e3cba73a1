"""What a process reports beside its log: metrics and spans, each only when the configuration asks for them.

Metrics are log lines in CloudWatch's Embedded Metric Format, which CloudWatch reads without an agent or a call
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
The alarms and the dashboard (terraform/alarms.tf, terraform/dashboard.tf) use these names.

A trace follows one order: each event carries the W3C Trace Context of the work that caused it, as the message attribute
``traceparent``, and the outbox keeps it. So an event that the relay publishes belongs to the trace that a crash
interrupted (https://www.w3.org/TR/trace-context/). Without OpenTelemetry the context is passed on unchanged.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shopflow import jsontext
from shopflow.catalog import ServiceSpec
from shopflow.clock import Clock, SystemClock
from shopflow.config import Config
from shopflow.errors import ConfigError

NAMESPACE = "ShopFlow"
UNITS: Mapping[str, str] = {
    "Requests": "Count",
    "Errors": "Count",
    "LatencyMs": "Milliseconds",
    "Handled": "Count",
    "Failed": "Count",
    "Misrouted": "Count",
    "BatchMs": "Milliseconds",
    "OpenOrders": "Count",
    "OldestOpenOrderSeconds": "Seconds",
    "Republished": "Count",
}
"""All metrics. Each has the dimensions Stack and Service."""


class Metrics:
    """Metrics that are switched off."""

    def put(self, **values: float) -> None:
        """Record one value of each metric, by its name in `UNITS`."""


class EmfMetrics(Metrics):
    """Metrics that pass one line of text for each `put` to ``write``. ``service``: its name in the catalogue."""

    def __init__(self, stack: str, service: str, clock: Clock, write: Callable[[str], object]) -> None:
        self._dimensions = {"Stack": stack, "Service": service}
        self._clock = clock
        self._write = write

    def put(self, **values: float) -> None:
        declared = {
            "Namespace": NAMESPACE,
            "Dimensions": [[*self._dimensions]],
            "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
        }
        line = {"_aws": {"Timestamp": self._clock.now_ms(), "CloudWatchMetrics": [declared]}, **self._dimensions}
        self._write(jsontext.dumps(line | values) + "\n")


TRACE_PARENT = "traceparent"

_KNOWN_VERSION = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


@dataclass(frozen=True)
class Span:
    """A piece of work that has begun. ``trace_parent``: the parent of the work that it causes."""

    trace_parent: str | None

    def end(self, error: Exception | None = None) -> None:
        """The work is done, or failed with ``error``. Call it once."""


class Tracing:
    """Tracing that is switched off: each span passes its own parent on."""

    def request(self, name: str, trace_parent: str | None) -> Span:  # noqa: ARG002
        """Begin to answer a request."""
        return Span(trace_parent)

    def processing(self, name: str, trace_parent: str | None, attributes: Mapping[str, str]) -> Span:  # noqa: ARG002
        """Begin to process a message."""
        return Span(trace_parent)

    def close(self) -> None:
        """Send the spans that were not sent yet."""


def well_formed(trace_parent: str | None) -> str | None:
    """``trace_parent`` if it is well formed, else None: otherwise a malformed one would be passed on for ever."""
    return trace_parent if trace_parent and _KNOWN_VERSION.fullmatch(trace_parent) else None


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where a process sends its spans and metrics."""

    tracing: Tracing = field(default_factory=Tracing)
    metrics: Metrics = field(default_factory=Metrics)


SILENT = Telemetry()


def telemetry_of(service: ServiceSpec, config: Config) -> Telemetry:
    """The telemetry that ``config`` asks for. Raises `ConfigError` if it needs a package that is not installed."""
    metrics = EmfMetrics(config.stack, service.name, SystemClock(), sys.stdout.write) if config.metrics else Metrics()
    return Telemetry(_exporting(service) if config.tracing else Tracing(), metrics)


def _exporting(service: ServiceSpec) -> Tracing:
    try:
        from shopflow.otel import exporting

        return exporting(service.source)
    except ImportError as error:
        wrong, way_out = f"a package is missing ({error.name})", "pip install -r requirements/otel.txt"
    except Exception as error:  # OpenTelemetry raises errors of many kinds
        wrong, way_out = str(error), "correct them"
    raise ConfigError(f"OTEL_* variables ask for spans, but {wrong}: {way_out}, or set OTEL_SDK_DISABLED=true")
