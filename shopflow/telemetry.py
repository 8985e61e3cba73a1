"""What a process tells of itself beside its log: spans and metrics, each only when somebody asked for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from shopflow.metrics import Metrics, NoMetrics
from shopflow.tracing import NoTracing, Tracing


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where spans and metrics go."""

    tracing: Tracing = field(default_factory=NoTracing)
    metrics: Metrics = field(default_factory=NoMetrics)


SILENT = Telemetry()
