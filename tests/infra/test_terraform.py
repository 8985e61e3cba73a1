"""What Terraform's files say: what is watched, what is scanned, and what refuses a tear-down."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from scripts.console import CommandError
from scripts.terraform_check import MODULE, passes, scan
from shopflow.telemetry import NAMESPACE, UNITS

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
    text = (MODULE / "alarms.tf").read_text() + (MODULE / "dashboard.tf").read_text()
    named = set(re.findall(r'"([A-Z]\w+)"', text)) - OTHER_WORDS - {NAMESPACE}
    assert named == UNITS.keys() | OF_AWS
    assert re.search(f'own_metrics += "{NAMESPACE}"', text)


SKIP = re.compile(r"#checkov:skip=(\w*):?(.*)")
MIN_WORDS = 5


def test_without_point_in_time_recovery_on_aws_the_scan_fails(tmp_path: Path) -> None:
    module = tmp_path / "terraform"
    shutil.copytree(MODULE, module, ignore=shutil.ignore_patterns(".terraform", "tests"))
    settings = module / "aws.tfvars"
    settings.write_text(re.sub("point_in_time_recovery.*", "point_in_time_recovery = false", settings.read_text()))
    with pytest.raises(CommandError, match=r"^'checkov' failed"):
        passes("checkov", scan(module))


def test_every_skipped_check_has_a_reason_beside_it() -> None:
    skips = [found.groups() for file in MODULE.rglob("*.tf") for found in SKIP.finditer(file.read_text())]
    assert skips, "no skipped check was found: the pattern is wrong"
    assert [skip for skip in skips if not skip[0] or len(skip[1].split()) < MIN_WORDS] == []


def test_what_refuses_the_tear_down_is_removed_before_everything_else() -> None:
    text = "".join(file.read_text() for file in MODULE.glob("*.tf"))
    made = {".".join(pair) for pair in re.findall(r'^resource "(\w+)" "(\w+)"', text, re.MULTILINE)}
    made |= {f"module.{name}" for name in re.findall(r'^module "(\w+)"', text, re.MULTILINE)}
    named = re.findall(r"^    ([\w.]+),$", (MODULE / "teardown.tf").read_text(), re.MULTILINE)
    assert set(named) == made - {"terraform_data.teardown"}
