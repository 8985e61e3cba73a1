"""Metrics as CloudWatch reads them out of a log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shopflow.errors import Unavailable
from shopflow.telemetry import NAMESPACE, EmfMetrics, Telemetry
from tests.clocks import ManualClock
from tests.system import System


class Written:
    """The lines of all services, by service."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def of(self, service: str) -> Telemetry:
        return Telemetry(metrics=EmfMetrics("shopflow", service, ManualClock(), self.lines.append))

    def values(self, service: str, name: str) -> list[float]:
        found = [json.loads(line) for line in self.lines]
        return [line[name] for line in found if line["Service"] == service and name in line]


def test_a_line_is_in_the_embedded_metric_format() -> None:
    written: list[str] = []
    EmfMetrics("shopflow-eu", "inventory", ManualClock(1234), written.append).put(Handled=10, BatchMs=7)
    [text] = written
    assert text.endswith("\n")
    assert json.loads(text) == {
        "_aws": {
            "Timestamp": 1234,
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Stack", "Service"]],
                    "Metrics": [{"Name": "Handled", "Unit": "Count"}, {"Name": "BatchMs", "Unit": "Milliseconds"}],
                }
            ],
        },
        "Stack": "shopflow-eu",
        "Service": "inventory",
        "Handled": 10,
        "BatchMs": 7,
    }


def test_a_metric_without_a_unit_is_an_error() -> None:
    with pytest.raises(KeyError, match="Handeld"):
        EmfMetrics("shopflow-eu", "inventory", ManualClock(), print).put(Handeld=1)


def test_each_round_counts_what_was_handled_and_what_failed() -> None:
    written = Written()
    failing = iter([True])

    def fail_once(service: str, method: str, call: Any) -> Any:
        if method == "gateway.charge" and next(failing, False):
            raise RuntimeError("bug")
        return call()

    system = System({"PROD-001": 5}, tap=fail_once, telemetry=written.of)
    system.place({"PROD-001": 1}, "pm_card_visa")
    assert system.run_until_quiet()
    assert (sum(written.values("inventory", "Handled")), sum(written.values("inventory", "Failed"))) == (1, 0)
    assert (sum(written.values("payment", "Handled")), sum(written.values("payment", "Failed"))) == (1, 1)
    assert len(written.values("audit", "BatchMs")) >= 1


def test_the_relay_counts_open_orders_and_what_it_published_again() -> None:
    written = Written()
    refusing = iter([True])

    def refuse_first_publish(service: str, method: str, call: Any) -> Any:
        if method == "topic.publish" and next(refusing, False):
            raise Unavailable("the topic is down")
        return call()

    system = System({"PROD-001": 5}, tap=refuse_first_publish, telemetry=written.of)
    system.place({"PROD-001": 1}, "pm_card_visa")
    assert system.run_until_quiet()
    system.sweep()
    assert max(written.values("order", "OpenOrders")) == 1
    assert max(written.values("order", "OldestOpenOrderSeconds")) >= 30
    assert sum(written.values("order", "Republished")) == 1
    assert written.values("order", "OpenOrders")[-1] == written.values("order", "OldestOpenOrderSeconds")[-1] == 0
