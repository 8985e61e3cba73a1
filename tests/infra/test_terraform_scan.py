"""The security scan of `make terraform-check` finds faults, and each check that it skips has a reason."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from scripts.console import CommandError
from scripts.terraform_check import MODULE, passes, require_scanner, scan

SKIP = re.compile(r"#checkov:skip=(\w*):?(.*)")
FEWEST_WORDS = 5

FAULTS = {
    "a policy for everything": """
resource "aws_iam_role_policy" "planted" {
  name   = "planted"
  role   = "planted"
  policy = jsonencode({ Statement = [{ Effect = "Allow", Action = "*", Resource = "*" }] })
}
""",
    "a queue without encryption": """
resource "aws_sqs_queue" "planted" {
  name                    = "planted"
  sqs_managed_sse_enabled = false
}
""",
    "a table without backups": """
resource "aws_dynamodb_table" "planted" {
  name         = "planted"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"
}
""",
    "a topic that everybody may publish to": """
resource "aws_sns_topic_policy" "planted" {
  arn    = "planted"
  policy = jsonencode({
    Statement = [{ Effect = "Allow", Principal = "*", Action = "sns:Publish", Resource = "planted" }]
  })
}
""",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_scan_finds_a_fault(fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "planted.tf").write_text(FAULTS[fault])
    shutil.copy(MODULE / "aws.tfvars", tmp_path)
    with pytest.raises(CommandError, match=r"^'checkov' found what is above: mend it, or skip it"):
        passes(scan(require_scanner(), tmp_path), tmp_path)
    assert re.search(r"FAILED for resource: \w+\.planted", capsys.readouterr().out)


def test_without_point_in_time_recovery_on_aws_the_scan_fails(tmp_path: Path) -> None:
    module = tmp_path / "terraform"
    shutil.copytree(MODULE, module, ignore=shutil.ignore_patterns(".terraform", "tests"))
    settings = module / "aws.tfvars"
    settings.write_text(re.sub("point_in_time_recovery.*", "point_in_time_recovery = false", settings.read_text()))
    with pytest.raises(CommandError, match=r"^'checkov' found"):
        passes(scan(require_scanner(), module), module)


def test_every_skipped_check_has_a_reason_beside_it() -> None:
    skips = [found.groups() for file in MODULE.rglob("*.tf") for found in SKIP.finditer(file.read_text())]
    assert skips, "no skipped check was found: the pattern is wrong"
    assert [skip for skip in skips if not skip[0] or len(skip[1].split()) < FEWEST_WORDS] == []


def test_a_missing_scanner_is_one_line_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match=r"^checkov is not installed: 'make terraform-check' installs it"):
        require_scanner()
