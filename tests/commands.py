"""Commands for people, run as people run them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.infra.stack import ROOT

COMMAND_SECONDS = 100
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def runner(module: str, env: Mapping[str, str], operator_log: Path) -> Run:
    """A function that runs ``python -m module`` with its arguments, and ``typed`` on its stdin."""
    own = {"SHOPFLOW_OPERATOR_LOG": str(operator_log), "COLUMNS": "240"}

    def run(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            input=typed,
            env={**env, **own},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )

    return run
