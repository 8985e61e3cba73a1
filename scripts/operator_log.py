"""Who changed the system by hand: one JSON line for each action, in .local/operator.log and on stderr."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.infra.stack import ROOT
from shopflow import jsontext
from shopflow.clock import SystemClock
from shopflow.domain.times import to_text

FILE = ROOT / ".local" / "operator.log"
MAX_SHOWN = 2000
"""Characters of a line on stderr. A line can name thousands of messages; the file has all of them."""


@dataclass(frozen=True, slots=True)
class OperatorLog:
    """Appends to ``path``, which only its owner can read, because it contains order ids."""

    path: Path

    @classmethod
    def of(cls, env: Mapping[str, str]) -> OperatorLog:
        """The log at SHOPFLOW_OPERATOR_LOG, or else at `FILE`."""
        return cls(Path(env.get("SHOPFLOW_OPERATOR_LOG") or FILE))

    def record(self, action: str, **what: Any) -> None:
        """Log an action. Call it before the action, so that a crash cannot hide it; log the result as a second line."""
        line = jsontext.dumps({"time": to_text(SystemClock().now_ms()), "operator": os_user(), "action": action} | what)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a") as file:
            file.write(line + "\n")
        print(line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]} …", file=sys.stderr)


def os_user() -> str:
    """The name of the user who runs this process. The system knows it; an environment variable could be forged."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
