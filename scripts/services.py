"""The services as processes: start, kill, stop. For `make run-all`, `make e2e` and the tests."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from scripts.console import CommandError
from scripts.infra.stack import ROOT
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import Catalog
from shopflow.config import Config
from shopflow.environment import LOOPBACK, SUPERVISOR_FD
from shopflow.errors import ConfigError
from shopflow.listeners import taken
from shopflow.supervision import STOP_SECONDS
from shopflow.telemetry import telemetry_of

MAX_INSTANCES = 32
ORDER = "order"


@dataclass(frozen=True, slots=True)
class Command:
    """One process to run: an instance of ``service`` with a label of its own.

    ``env``: variables that only this process gets.
    """

    label: str
    service: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended by itself. A negative exit code is the signal that killed it."""

    label: str
    exit_code: int
    ran_seconds: float

    @property
    def cause(self) -> str:
        if self.exit_code < 0:
            return f"was killed by {signal.Signals(-self.exit_code).name}"
        return f"ended with exit code {self.exit_code}"


class LogFiles:
    """The output of the processes in one file for each label, in one folder. A restarted process appends to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def open(self, label: str) -> IO[bytes]:
        return self.path(label).open("ab")

    def path(self, label: str) -> Path:
        return self._folder / f"{label}.log"


class Lines:
    """Calls ``on_line(label, line)`` for each line, from one thread for each process."""

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
        """After the processes have ended: wait until each of their lines was passed on."""
        for reader in self._readers:
            reader.join(timeout=1)

    def _read(self, label: str, reading: int) -> None:
        with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self._on_line(label, line.rstrip("\n"))


def service_commands(catalog: Catalog, instances: Mapping[str, int] | None = None) -> list[Command]:
    """The commands of all services. ``instances``: how many processes of a worker to run, labelled worker-1, worker-2 …

    A worker that is not in ``instances`` gets one process, labelled with its name.
    """
    commands = []
    for name, service in catalog.services.items():
        own = ("api",) if name == ORDER else ("workers", name)
        argv = (sys.executable, "-u", "-m", *((service.module,) if service.module else own))
        count = (instances or {}).get(name)
        labels = [f"{name}-{number}" for number in range(1, count + 1)] if count else [name]
        commands += [Command(label, name, argv) for label in labels]
    return commands


def url_of(config: Config) -> str:
    """Where this machine reaches the Order Service. Raises `ConfigError` for port 0, which could be any."""
    if not config.port:
        raise ConfigError("PORT=0 must be a number from 1 to 65535.")
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(config.host, config.host)  # noqa: S104
    return f"http://[{host}]:{config.port}" if ":" in host else f"http://{host}:{config.port}"


def check_settings(config: Config, catalog: Catalog) -> None:
    """Find now what would end a service as soon as it starts. Raises `ConfigError`, or `CommandError` for a taken port.

    A service needs a second to say the same, and says it among the lines of the others.
    """
    url_of(config)
    telemetry_of(catalog.services[ORDER], config).tracing.close()
    if not config.endpoint_url:
        connect(config, PATIENT)
    with socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                way_out = f"Stop it, or choose another port: PORT={config.port + 1}"
                raise CommandError(f"{taken(config.port)}. {way_out}") from None
            address = f"{config.host}:{config.port} ({error.strerror})"
            raise ConfigError(f"The Order Service cannot listen on {address}. Check HOST and PORT.") from None


def parse_scale(text: str, catalog: Catalog) -> dict[str, int]:
    """``inventory=3,payment=2`` as a dictionary. Raises `ConfigError` for anything else."""
    workers = [spec.name for spec in catalog.consumers]
    scale = {}
    for part in filter(None, map(str.strip, text.split(","))):
        service, _, number = part.partition("=")
        if service not in workers or not number.isdecimal() or not 1 <= int(number) <= MAX_INSTANCES:
            wanted = f"must be one of {', '.join(workers)}, with a number from 1 to {MAX_INSTANCES}"
            raise ConfigError(f"SCALE: {part} {wanted}. Write it like SCALE=inventory=3,payment=2")
        scale[service] = int(number)
    return scale


class Services(AbstractContextManager["Services"]):
    """A set of processes. The end of its ``with`` block stops them all.

    Each runs in a session of its own, so that a Ctrl-C in the terminal reaches only the process that holds this object.
    When that process dies, the services notice and stop (`shopflow.supervision`).
    """

    def __init__(self, commands: Iterable[Command], env: Mapping[str, str], output: LogFiles | Lines) -> None:
        self._commands = {command.label: command for command in commands}
        self._env = dict(env)
        self._output = output
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._pipe: tuple[int, int] | None = None

    @property
    def labels(self) -> list[str]:
        return list(self._commands)

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *labels: str) -> None:
        """Start these processes (default: all), except those that run already."""
        for label in labels or self.labels:
            if self.pid(label) is None:
                self._running[label] = self._start(self._commands[label])
                self._started[label] = time.monotonic()

    def _start(self, command: Command) -> subprocess.Popen[bytes]:
        self._pipe = self._pipe or os.pipe()
        supervisor_fd, _ = self._pipe
        with self._output.open(command.label) as file:
            return subprocess.Popen(
                command.argv,
                cwd=ROOT,
                env={**self._env, **command.env, SUPERVISOR_FD: str(supervisor_fd)},
                pass_fds=(supervisor_fd,),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def add(self, command: Command) -> None:
        """Add a process, or change the command of one. It takes effect at the next start."""
        self._commands[command.label] = command

    def remove(self, label: str) -> None:
        """Forget a process that does not run."""
        del self._commands[label]
        self._running.pop(label, None)

    def commands(self, service: str) -> list[Command]:
        return [command for command in self._commands.values() if command.service == service]

    def pid(self, label: str) -> int | None:
        """None: it does not run."""
        process = self._running.get(label)
        return process.pid if process and process.poll() is None else None

    def send(self, label: str, signum: signal.Signals) -> None:
        """Send ``signum`` to a process if it runs, and do not wait. `ended` reports its end."""
        if label in self._running:
            self._running[label].send_signal(signum)

    def kill(self, label: str, signum: signal.Signals = signal.SIGKILL) -> int:
        """Send ``signum``, wait until the process has ended, and return its exit code."""
        process = self._running.pop(label)
        process.send_signal(signum)
        return process.wait(STOP_SECONDS)

    def ended(self) -> list[Ended]:
        """The processes that ended by themselves since the last call."""
        ended = [label for label, process in self._running.items() if process.poll() is not None]
        now = time.monotonic()
        return [Ended(label, self._running.pop(label).returncode, now - self._started[label]) for label in ended]

    def end(self, labels: Iterable[str], signum: signal.Signals, seconds: float = STOP_SECONDS) -> list[str]:
        """Send ``signum`` to these processes and wait until they have ended. SIGKILL ends those that take longer.

        Returns the labels of those that ran for more than ``seconds``.
        """
        ending = {label: process for label in labels if (process := self._running.get(label))}
        for process in ending.values():
            process.send_signal(signum)
            process.send_signal(signal.SIGCONT)  # it may be frozen
        deadline, killed = time.monotonic() + seconds, []
        for label, process in ending.items():
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                killed.append(label)
        return killed

    def stop(self, seconds: float = STOP_SECONDS) -> list[str]:
        """End all with SIGTERM, as `end` does."""
        try:
            killed = self.end(list(self._running), signal.SIGTERM, seconds)
        except BaseException:  # a second Ctrl-C stops at once
            for process in self._running.values():
                process.kill()
            raise
        self._running.clear()
        for end in self._pipe or ():
            os.close(end)
        self._pipe = None
        return killed
