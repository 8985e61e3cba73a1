"""The services as processes: start, kill, restart, stop. `make run-all`, `make e2e` and the tests all use this."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from scripts.infra.stack import ROOT
from shopflow.catalog import Catalog, ServiceSpec
from shopflow.config import SUPERVISOR_FD
from shopflow.errors import ConfigError
from shopflow.supervision import STOP_SECONDS

MAX_INSTANCES = 32
ORDER = "order"


@dataclass(frozen=True, slots=True)
class Command:
    """One process to run: its label, unique among those beside it, and the service that it is an instance of.

    ``env``: variables for it alone, beside those of all.
    """

    label: str
    service: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended unasked. A negative exit code is the signal that killed it."""

    label: str
    exit_code: int
    ran_seconds: float

    @property
    def cause(self) -> str:
        if self.exit_code < 0:
            return f"was killed by {signal.Signals(-self.exit_code).name}"
        return f"ended with exit code {self.exit_code}"


class Output(Protocol):
    """Where the processes' stdout and stderr go."""

    def open(self, label: str) -> IO[bytes]:
        """A file of its own for one run of one process. The caller closes it."""
        ...

    def drain(self) -> None:
        """Wait until what the ended processes wrote has arrived."""
        ...


class LogFiles:
    """A file for each label, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def open(self, label: str) -> IO[bytes]:
        return self.path(label).open("ab")

    def path(self, label: str) -> Path:
        return self._folder / f"{label}.log"

    def drain(self) -> None:
        """Files need no draining."""


class Lines:
    """Hands each line to ``on_line(label, line)``, from a thread for each process."""

    def __init__(self, on_line: Callable[[str, str], None]) -> None:
        self._on_line = on_line
        self._readers: list[threading.Thread] = []

    def open(self, label: str) -> IO[bytes]:
        reading, writing = os.pipe()
        reader = threading.Thread(target=self._read, args=(label, reading), name=f"output of {label}", daemon=True)
        reader.start()
        self._readers = [*filter(threading.Thread.is_alive, self._readers), reader]
        return os.fdopen(writing, "wb")

    def drain(self) -> None:
        for reader in self._readers:
            reader.join(timeout=1)

    def _read(self, label: str, reading: int) -> None:
        with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self._on_line(label, line.rstrip("\n"))


def service_commands(catalog: Catalog, instances: Mapping[str, int] | None = None) -> list[Command]:
    """A command for each instance of each service: one of each, or as many as ``instances`` says of a worker."""
    wanted = instances or {}
    return [
        Command(label, name, _argv(service))
        for name, service in catalog.services.items()
        for label in _labels(name, wanted)
    ]


def parse_scale(text: str, catalog: Catalog) -> dict[str, int]:
    """``inventory=3,payment=2`` as instances by service. Raises `ConfigError` for what cannot be."""
    return dict(_parse_one(part.strip(), catalog) for part in text.split(",") if part.strip())


class Services:
    """Processes that start and stop together. Leaving its ``with`` block stops them.

    Each runs in a session of its own: a Ctrl-C in the terminal reaches only whoever holds this object. A service stops
    by itself when that process is gone (`shopflow.supervision`).
    """

    def __init__(self, commands: Iterable[Command], env: Mapping[str, str], output: Output) -> None:
        self._commands = {command.label: command for command in commands}
        self._env = dict(env)
        self._output = output
        self._running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        self._pipe: tuple[int, int] | None = None

    @property
    def labels(self) -> list[str]:
        return list(self._commands)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self, *labels: str) -> None:
        """Start those processes (default: all), unless they run."""
        for label in labels or self.labels:
            if label not in self._running:
                self._running[label] = (self._start(self._commands[label]), time.monotonic())

    def _start(self, command: Command) -> subprocess.Popen[bytes]:
        self._pipe = self._pipe or os.pipe()
        handed_down, _ = self._pipe
        with self._output.open(command.label) as file:
            return subprocess.Popen(
                command.argv,
                cwd=ROOT,
                env={**self._env, **command.env, SUPERVISOR_FD: str(handed_down)},
                pass_fds=(handed_down,),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, label: str, signum: signal.Signals = signal.SIGKILL) -> int:
        """Send a process a signal that ends it, wait until it has, and return its exit code."""
        process, _ = self._running.pop(label)
        process.send_signal(signum)
        return process.wait(STOP_SECONDS)

    def restart(self, label: str) -> None:
        """Have a process stop as it does on SIGTERM, and start it again."""
        self.kill(label, signal.SIGTERM)
        self.start(label)

    def ended(self) -> list[Ended]:
        """The processes that ended unasked since the last call."""
        now = time.monotonic()
        ended = [
            Ended(label, process.returncode, now - started)
            for label, (process, started) in self._running.items()
            if process.poll() is not None
        ]
        for one in ended:
            del self._running[one.label]
        return ended

    def stop(self, seconds: float = STOP_SECONDS) -> list[str]:
        """SIGTERM to all at once; SIGKILL to those that have not ended after ``seconds``. Returns their labels."""
        for process, _ in self._running.values():
            process.terminate()
        deadline = time.monotonic() + seconds
        try:
            killed = [label for label in self._running if not self._ends_before(deadline, label)]
        except BaseException:  # a second Ctrl-C: nobody wants to wait any longer
            for process, _ in self._running.values():
                process.kill()
            raise
        self._running.clear()
        for end in self._pipe or ():
            os.close(end)
        self._pipe = None
        self._output.drain()
        return killed

    def _ends_before(self, deadline: float, label: str) -> bool:
        process, _ = self._running[label]
        try:
            process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
        return True


def _labels(service: str, instances: Mapping[str, int]) -> list[str]:
    if service not in instances:
        return [service]
    return [f"{service}-{number}" for number in range(1, instances[service] + 1)]


def _argv(service: ServiceSpec) -> tuple[str, ...]:
    own = ("api",) if service.name == ORDER else ("workers", service.name)
    return (sys.executable, "-u", "-m", *((service.module,) if service.module else own))


def _parse_one(part: str, catalog: Catalog) -> tuple[str, int]:
    service, _, number = part.partition("=")
    workers = [spec.name for spec in catalog.consumers]
    if service == ORDER:
        raise ConfigError("SCALE: order cannot be scaled here, since one process listens on the port. Scale a worker.")
    if service not in workers:
        raise ConfigError(
            f"SCALE: {service!r} is none of {', '.join(workers)}. Write it like SCALE=inventory=3,payment=2"
        )
    if not number.isdecimal() or not 1 <= int(number) <= MAX_INSTANCES:
        raise ConfigError(f"SCALE: {part} needs a number from 1 to {MAX_INSTANCES}.")
    return service, int(number)
