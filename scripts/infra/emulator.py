"""The embedded local AWS: the `ministack` package in one background process."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from scripts.console import CommandError, Progress, last_line
from scripts.infra.stack import Stack, passed_on, port_is_taken, wait_until_healthy
from shopflow.environment import LOOPBACK
from shopflow.listeners import taken

STOP_SECONDS = 30
"""A stop saves the state, which takes a second for 10,000 orders."""
PROGRAM = Path(__file__).with_name("emulator_process.py")
_IN_BACKGROUND = '"$@" </dev/null >>"$EMULATOR_LOG" 2>&1 & echo "$! $GATEWAY_PORT" >"$PROCESS_FILE"'


class Process(NamedTuple):
    pid: int
    port: int


class Embedded:
    """The emulator of one stack, reachable from this machine only.

    It saves queues, tables and messages as often as the stack says, and on SIGTERM. SIGKILL loses what is newer than
    the last save.

    The emulator inherits a locked file from the command that starts it. The system drops the lock when the emulator
    ends for any reason, so the lock tells whether the process in that file still runs.
    """

    kind = "embedded"

    def __init__(self, stack: Stack, settings: Mapping[str, str] | None = None) -> None:
        """``settings``: further variables of ministack."""
        self._stack = stack
        self._settings = settings or {}
        self._folder = stack.folder / "emulator"
        self._process_file = self._folder / "process"
        self._log = self._folder / "emulator.log"
        self.endpoint = stack.own_endpoint

    @property
    def process(self) -> Process | None:
        """The process of the emulator, if it runs."""
        with suppress(FileNotFoundError), self._process_file.open() as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    if words := file.read().split():
                        return Process(*map(int, words))
                    time.sleep(0.01)  # it is being started
                else:
                    return None
        return None

    def has_ended(self) -> bool:
        return self.process is None

    def is_running(self) -> bool:
        if process := self.process:
            if process.port != self._stack.port:
                raise CommandError(
                    f"The local AWS already runs on port {process.port}. Leave SHOPFLOW_PORT unset to use it, "
                    "or run 'make infra-down' first."
                )
            return True
        self._stack.check_port()
        return False

    def start(self, progress: Progress) -> None:
        if self.is_running():
            return
        with progress.step(f"Starting a local AWS on {self.endpoint}"):
            self._spawn()
            if not wait_until_healthy(self.endpoint, lambda: bool(self.process)):
                self.kill()
                reason = last_line(self._log.read_text(errors="replace"))
                raise CommandError(f"The local AWS did not start: {reason} (its log: {self._log})")

    def stop(self, progress: Progress) -> None:
        if not (process := self.process):
            if port_is_taken(self._stack.port):
                raise CommandError(
                    f"{taken(self._stack.port)}, which is not the local AWS of this folder. If the folder was copied "
                    "or removed while its local AWS ran, that process has its orders: they are lost when you stop it."
                )
            progress.say("The local AWS is not running")
            return
        pid, port = process
        with progress.step("Stopping the local AWS, which saves its state"):
            os.kill(pid, signal.SIGTERM)
            if not self._ends(port):
                raise CommandError(f"The local AWS (process {pid}) does not stop. See {self._log}")
            if not (self._folder / "saves" / "last").exists():
                raise CommandError(
                    "The local AWS stopped but could not save its state: is the disk full? "
                    f"The next infra-up starts with what it saved before. Its log: {self._log}"
                )

    def kill(self) -> None:
        """Stop it at once if it runs. The next start loads the last save."""
        if process := self.process:
            pid, port = process
            os.killpg(os.getpgid(pid), signal.SIGKILL)  # the whole group, because a save may be under way
            self._ends(port)

    def discard(self, progress: Progress) -> None:
        with progress.step("Stopping the local AWS"):
            self.kill()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _ends(self, port: int) -> bool:
        """Wait until it ends and its port is free. False after `STOP_SECONDS`."""
        deadline = time.monotonic() + STOP_SECONDS
        while self.process or port_is_taken(port):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        return True

    def _spawn(self) -> None:
        """Start it in a session of its own and not as our child, so that neither Ctrl-C nor our exit ends it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._log.exists():
            self._log.replace(self._log.with_suffix(".log.1"))
        environment = passed_on(os.environ) | {
            "BIND_HOST": LOOPBACK,
            "MINISTACK_HOST": LOOPBACK,
            "GATEWAY_PORT": str(self._stack.port),
            "MINISTACK_REGION": self._stack.region,
            "PERSIST_STATE": "1",
            "STATE_DIR": "state",
            "SAVE_SECONDS": str(self._stack.save_seconds or ""),
            "TMPDIR": str(self._folder),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",  # would listen on 8883
            "EMULATOR_LOG": str(self._log),
            "PROCESS_FILE": str(self._process_file),
            **self._settings,
        }
        with self._process_file.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            subprocess.run(
                ["/bin/sh", "-c", _IN_BACKGROUND, "sh", sys.executable, "-P", str(PROGRAM)],
                env=environment,
                cwd=self._folder,
                start_new_session=True,
                pass_fds=[file.fileno()],
                check=True,
            )
