"""The embedded local AWS: one background process of the `ministack` package."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.console import CommandError, Progress, last_line
from scripts.infra.health import LOOPBACK, port_is_taken, wait_until_healthy
from scripts.infra.stack import Stack, read_json, write_atomically
from shopflow.listeners import taken

STOP_SECONDS = 30
"""It saves what it holds when it stops: a second for 10,000 orders."""
_PROGRAM = Path(__file__).with_name("emulator_process.py")
_IN_BACKGROUND = '"$@" </dev/null >>"$EMULATOR_LOG" 2>&1 & echo $!'


@dataclass(frozen=True, slots=True)
class Process:
    """The emulator's process for sure (the number alone may be another's by now) and the port it listens on."""

    pid: int
    started: str
    port: int

    @property
    def is_alive(self) -> bool:
        return _start_time(self.pid) == self.started


class Embedded:
    """One emulator of one stack, reachable from this machine only.

    It saves its queues, tables and messages as often as the stack says, and all of them once more on SIGTERM. SIGKILL
    loses what came since the last save.
    """

    kind = "embedded"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._folder = stack.folder / "emulator"
        self._pid_file = self._folder / "process.json"
        self._log = self._folder / "emulator.log"
        self.endpoint = stack.own_endpoint

    @property
    def is_running(self) -> bool:
        return self._process() is not None

    def start(self, progress: Progress) -> None:
        if process := self._process():
            self._require_same_port(process)
            return
        if port_is_taken(self._stack.port):
            raise CommandError(
                f"{taken(self._stack.port)}. Stop that, choose another port "
                "(SHOPFLOW_PORT=4570 make infra-up), or use what listens there "
                f"(AWS_ENDPOINT_URL={self.endpoint} make infra-up)."
            )
        with progress.step(f"Starting a local AWS on {self.endpoint}"):
            process = self._spawn()
            if not wait_until_healthy(self.endpoint, lambda: process.is_alive):
                _signal(process, signal.SIGKILL)
                reason = last_line(self._log.read_text(errors="replace"))
                raise CommandError(f"The local AWS did not start: {reason} (all of it: {self._log})")

    def stop(self, progress: Progress) -> None:
        process = self._process()
        if process is None:
            progress.say("The local AWS is not running")
            return
        with progress.step("Stopping the local AWS, keeping what it holds"):
            _signal(process, signal.SIGTERM)
            if not _wait_for_end(process, STOP_SECONDS):
                raise CommandError(f"The local AWS (process {process.pid}) does not stop: see {self._log}")
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """Stop it at once, if it runs: the next start finds what was there at its last save."""
        if process := self._process():
            os.killpg(os.getpgid(process.pid), signal.SIGKILL)  # and a save that it is making
            _wait_for_end(process, STOP_SECONDS)
        self._pid_file.unlink(missing_ok=True)

    def discard(self, progress: Progress) -> None:
        with progress.step("Stopping the local AWS"):
            self.kill()  # its files go with the stack's folder

    def _require_same_port(self, process: Process) -> None:
        if process.port != self._stack.port:
            raise CommandError(
                f"The local AWS already runs on port {process.port}. Use it as it is, without SHOPFLOW_PORT, "
                "or run 'make infra-down' first."
            )

    def _process(self) -> Process | None:
        facts = read_json(self._pid_file)
        process = Process(**facts) if facts else None
        return process if process and process.is_alive else None

    def _spawn(self) -> Process:
        """Start it in a session of its own, as nobody's child, so that no Ctrl-C and no exit of ours reaches it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log.unlink(missing_ok=True)
        answer = subprocess.run(
            ["/bin/sh", "-c", _IN_BACKGROUND, "sh", sys.executable, "-P", str(_PROGRAM)],
            env=self._environment(os.environ),
            cwd=self._folder,
            start_new_session=True,
            stdout=subprocess.PIPE,
            check=True,
        )
        pid = int(answer.stdout)
        process = Process(pid, _start_time(pid) or "", self._stack.port)
        write_atomically(self._pid_file, json.dumps(asdict(process)))
        return process

    def _environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in inherited.items() if not name.startswith("AWS_")} | {
            "BIND_HOST": LOOPBACK,
            "MINISTACK_HOST": LOOPBACK,
            "GATEWAY_PORT": str(self._stack.port),
            "MINISTACK_REGION": self._stack.region,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self._folder / "state"),
            "SAVES_DIR": str(self._folder / "saves"),
            "SAVE_SECONDS": str(self._stack.save_seconds or ""),
            "TMPDIR": str(self._folder),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",  # would listen on 8883
            "EMULATOR_LOG": str(self._log),
        }


def _start_time(pid: int) -> str | None:
    """When the process started, in whatever unit the system counts; None when it has ended."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        state, started = fields[0], fields[19]
    else:  # macOS
        answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
        state, _, started = answer.stdout.strip().partition(" ")
    return None if state.startswith("Z") or not started else started


def _signal(process: Process, number: signal.Signals) -> None:
    if process.is_alive:
        os.kill(process.pid, number)


def _wait_for_end(process: Process, seconds: float) -> bool:
    """Whether it ends in time. Its port is free later than it looks dead: other threads of it may still have to go."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not process.is_alive and not port_is_taken(process.port):
            return True
        time.sleep(0.02)
    return False
