"""Alarms and dashboard watch metrics that exist, and every metric of the services is watched."""

from __future__ import annotations

import re

from scripts.infra.stack import ROOT
from shopflow.telemetry import NAMESPACE, UNITS

ALARMS = ROOT / "terraform" / "modules" / "alarms"
OF_AWS = {
    "ApproximateAgeOfOldestMessage",
    "ApproximateNumberOfMessagesVisible",
    "ConsumedWriteCapacityUnits",
    "Count",
    "NumberOfMessagesPublished",
    "NumberOfNotificationsDelivered",
    "NumberOfNotificationsFailed",
    "ReadThrottleEvents",
    "Throttles",
    "WriteThrottleEvents",
}
"""Metrics that AWS reports."""
OTHER_WORDS = {
    "Alarms",
    "GreaterThanThreshold",
    "Maximum",
    "QueueName",
    "Service",
    "Stack",
    "Sum",
    "TableName",
    "TopicName",
}


def test_the_metrics_of_alarms_and_dashboard_are_those_of_the_services_and_of_aws() -> None:
    text = (ALARMS / "main.tf").read_text() + (ALARMS / "dashboard.tf").read_text()
    named = set(re.findall(r'"([A-Z]\w+)"', text)) - OTHER_WORDS - {NAMESPACE}
    assert named == UNITS.keys() | OF_AWS
    assert f'own_metrics = "{NAMESPACE}"' in text
