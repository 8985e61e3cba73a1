"""Alarms and dashboard use only metrics that exist, and every alarm leads to the runbook."""

from __future__ import annotations

import re

from scripts.infra.stack import ROOT
from shopflow.telemetry import NAMESPACE, UNITS

MODULE = ROOT / "terraform" / "modules" / "alarms"
OF_AWS = {
    "ApproximateAgeOfOldestMessage",
    "ApproximateNumberOfMessagesVisible",
    "ConsumedWriteCapacityUnits",
    "NumberOfMessagesPublished",
    "NumberOfNotificationsDelivered",
    "NumberOfNotificationsFailed",
    "ReadThrottleEvents",
    "Throttles",
    "WriteThrottleEvents",
}
"""Metrics that AWS reports."""
_METRIC = re.compile(r'metric_name += "(\w+)"|\[(?:local\.own_metrics|"\.|"AWS/\w+"|"\.")[",]* ?"(\w+)"')
_ANCHOR = re.compile(r"\$\{local\.runbook\}([a-z-]+)")


def text_of(*names: str) -> str:
    return "".join((MODULE / name).read_text() for name in names)


def test_alarms_and_dashboard_use_metrics_that_exist_and_all_of_ours() -> None:
    text = text_of("main.tf", "dashboard.tf")
    named = {one or other for one, other in _METRIC.findall(text)} | {"Requests", "Errors"}
    assert named - UNITS.keys() - OF_AWS == set()
    assert UNITS.keys() - named == set(), "reported, but neither an alarm nor the dashboard shows it"
    assert f'own_metrics = "{NAMESPACE}"' in text


def test_every_alarm_leads_to_a_section_of_the_runbook() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    sections = {heading.lower().replace(" ", "-") for heading in headings}
    anchors = _ANCHOR.findall(text_of("main.tf"))
    alarms = re.findall(r'resource "aws_cloudwatch_metric_alarm" "(\w+)"', text_of("main.tf"))
    assert len(anchors) == len(alarms)
    assert set(anchors) - sections == set()
