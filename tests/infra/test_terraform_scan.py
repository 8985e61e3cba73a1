"""The security scan of `make terraform-check` finds faults, and each check that it skips has a reason."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from scripts.console import CommandError
from scripts.terraform_check import MODULE, passes, scan

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
