"""`make prove-aws`, whole, on the embedded cloud with IAM enforced."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.infra.stack import ROOT
from tests.sizes import full


@full
@pytest.mark.timeout(1800)
def test_a_throw_away_stack_is_proved_and_removed_and_the_report_says_on_what(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    command = [sys.executable, "-m", "scripts.prove_aws", f"--report={report}"]
    env = {**os.environ, "CLOUD": "embedded", "ORDERS": "20"}
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    text = report.read_text()
    assert "**Every step succeeded, and nothing of the stack is left.**" in text
    assert re.search(r"ran on ministack [\d.]+ with IAM enforced", text)
    for shown in ("All 20 orders are COMPLETED.", "20 messages are dead letters.", "Every invariant holds."):
        assert shown in text
