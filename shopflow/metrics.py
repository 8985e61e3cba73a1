"""What a service counts and measures, as log lines that CloudWatch reads: no agent, no call.

The lines are in CloudWatch's Embedded Metric Format
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
The alarms and the dashboard of terraform/modules/alarms are made of these names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from shopflow import jsontext
from shopflow.clock import Clock

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
"""Every metric there is. Each has one dimension, Service."""


class Metrics(Protocol):
    def put(self, **values: float) -> None:
        """Record one value of each metric, by its name in `UNITS`."""
        ...


class NoMetrics:
    """`Metrics` for nobody."""

    def put(self, **values: float) -> None:
        """Nothing to do."""


class EmfMetrics:
    """`Metrics` as one line of text for each `put`, to ``write``. ``service`` as the catalogue names it."""

    def __init__(self, service: str, clock: Clock, write: Callable[[str], object]) -> None:
        self._service = service
        self._clock = clock
        self._write = write

    def put(self, **values: float) -> None:
        declared = {
            "Namespace": NAMESPACE,
            "Dimensions": [["Service"]],
            "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
        }
        line = {"_aws": {"Timestamp": self._clock.now_ms(), "CloudWatchMetrics": [declared]}, "Service": self._service}
        self._write(jsontext.dumps(line | values) + "\n")
