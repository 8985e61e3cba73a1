"""A copy of the working tree, as a user has it, with a local AWS of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.infra.emulator import Embedded
from scripts.infra.stack import ROOT, stack_for_developer
from tests.addresses import address, free_port
from tests.commands import COMMAND_SECONDS, Ran

NOWHERE = "/nowhere/at/all"
QUICK = {"PAYMENT_LATENCY_MIN_MS": "5", "PAYMENT_LATENCY_MAX_MS": "20"}
LEFT_OUT = (".git", ".venv", ".local", ".env.local", "__pycache__", ".*_cache", ".hypothesis")
FIRST_START_SECONDS = 600
"""It takes 70 s on a quiet machine, and the limit is for a busy one."""


class Clone:
    """Its virtual environment is that of the tests."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
        (folder / ".venv").mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (folder / ".venv" / name).symlink_to(Path(sys.prefix) / name)
        (folder / ".venv" / ".run").touch()
        self.folder = folder
        self.python = str(folder / ".venv" / "bin" / "python")
        self.stack = stack_for_developer(free_port(), folder)
        self.emulator = Embedded(self.stack)
        self._address = address(free_port())

    def environment(self, **exported: str | None) -> dict[str, str]:
        """The environment of a shell that exports these variables. None unsets one."""
        env = {"PATH": os.environ["PATH"], "HOME": NOWHERE, **QUICK, **self._address, **exported}
        return {name: value for name, value in env.items() if value is not None}

    def run(self, *command: str, seconds: float = COMMAND_SECONDS, env: Mapping[str, str | None] | None = None) -> Ran:
        """Run ``command`` in a shell that exports ``env``, for at most ``seconds``."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**(env or {})),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
        )
