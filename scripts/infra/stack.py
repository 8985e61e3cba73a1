"""The two stacks of a checkout, the developer's and the tests', which never touch each other."""

from __future__ import annotations

import fcntl
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from scripts.console import Progress
from scripts.infra.health import LOOPBACK, port_is_taken
from shopflow.config import ENV_FILE

ROOT = Path(__file__).resolve().parents[2]
RECORD = "stack.json"
SAVE_SECONDS = 5.0
"""How often the developer's local AWS saves what it holds."""
DEFAULT_PORT = 4566
"""The port that LocalStack and the emulators like it are found at."""
PORTS_FOR_TESTS = range(20_000, 30_000)
"""Below the ports that operating systems hand out for outgoing connections."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Where one stack keeps its things, and what sets its resources apart from another stack's.

    ``port`` is where its own emulator listens. Everything under ``folder`` can be made again. ``save_seconds``: how
    often the emulator saves what it holds; None: only when it stops.
    """

    name: str
    folder: Path
    env_file: Path
    port: int
    name_prefix: str
    region: str = "us-east-1"
    save_seconds: float | None = None

    @property
    def own_endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def record(self) -> dict[str, Any]:
        """What is known: the stack's port, its cloud, what Terraform applied last. Empty before the first up."""
        return read_json(self.folder / RECORD) or {}

    def remember(self, **facts: Any) -> None:
        """Add ``facts`` to the record."""
        write_atomically(self.folder / RECORD, json.dumps(self.record() | facts, indent=2))

    def environment(self, exported: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of a process that runs against this stack.

        Nothing of AWS or of another stack comes from ``exported``: this stack's env file decides.
        """
        inherited = {name: value for name, value in exported.items() if not name.startswith(("AWS_", "SHOPFLOW_"))}
        own = {name: value for name, value in dotenv_values(self.env_file).items() if value is not None}
        return inherited | own | {"SHOPFLOW_ENV_FILE": str(self.env_file)}

    @contextmanager
    def lock(self, progress: Progress, purpose: str = "change") -> Iterator[None]:
        """Let one process at a time do that with the stack; the others wait here, and say so."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{purpose}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress.say(f"Waiting for another command that uses the stack '{self.name}' …")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def stack_for_developer(port: int | None = None, root: Path = ROOT) -> Stack:
    """The stack of `make infra-up`, on `.env.local`; on the port it had last when none is given."""
    folder = root / ".local" / "dev"
    port = port or _last_port(folder) or DEFAULT_PORT
    return Stack("dev", folder, root / ENV_FILE, port, "shopflow", save_seconds=SAVE_SECONDS)


def stack_for_tests(name: str = "test", root: Path = ROOT) -> Stack:
    """The stack of `make test`, on a free port that it keeps. What a session does to it outlives no kill."""
    folder = root / ".local" / name
    stack = Stack(name, folder, folder / "env", _last_port(folder) or _free_port(), "shopflow-test")
    stack.remember(port=stack.port)
    return stack


def _last_port(folder: Path) -> int | None:
    port: int | None = (read_json(folder / RECORD) or {}).get("port")
    return port


def _free_port() -> int:
    return next(port for port in random.sample(PORTS_FOR_TESTS, 100) if not port_is_taken(port))


def read_json(file: Path) -> Any | None:
    """The content of ``file``, None when there is no such file or it is cut short."""
    try:
        return json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None


def write_atomically(file: Path, text: str) -> None:
    """Replace ``file`` at once, readable by its owner only."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(file)
