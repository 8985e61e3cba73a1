"""A running emulator with Terraform's resources in it, and services to run against it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from bench.bare import Bare
from bench.calls import SUFFIX
from bench.figures import Conditions
from bench.processes import cpu_seconds
from scripts.console import CommandError
from scripts.infra.health import answers
from scripts.services import ORDER, Command, LogFiles, Services, service_commands
from shopflow.aws.wiring import Aws
from shopflow.catalog import load_catalog
from shopflow.config import Config
from shopflow.domain.stock import Product

START_SECONDS = 30
SAMPLE_SECONDS = 1.0
STOP_SECONDS = 30.0
"""Longer than any long poll: that of a killed worker lives on in the emulator, and takes the next run's messages."""
STALLED_SECONDS = 90
"""More than the visibility timeout: by then every message has come again."""
PLENTY = 1_000_000
WORKERS = ("inventory", "payment", "notification", "audit")


class Watch:
    """Samples the queues once a second while its ``with`` block lasts, and the emulator's CPU at both its ends."""

    def __init__(self, bare: Bare, emulator_pid: int) -> None:
        self._bare = bare
        self._pid = emulator_pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._failure: Exception | None = None
        self.backlog = 0
        self.largest_backlog = 0

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._cpu = cpu_seconds(self._pid)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._used = cpu_seconds(self._pid) - self._cpu
        self._elapsed = time.monotonic() - self._started
        self._ended.set()
        self._thread.join()

    @property
    def conditions(self) -> Conditions:
        """Of the whole block, once it has ended. Raises `CommandError` when the queues could not be looked at."""
        if self._failure:
            raise CommandError(f"The emulator does not answer: {self._failure}")
        return Conditions(self._used / self._elapsed, self.largest_backlog)

    def _run(self) -> None:
        try:
            self._sample()
        except Exception as failure:
            self._failure = failure

    def _sample(self) -> None:
        while True:
            self.backlog = max(self._bare.backlogs().values())
            self.largest_backlog = max(self.largest_backlog, self.backlog)
            if self._ended.wait(SAMPLE_SECONDS):
                return


@dataclass(frozen=True, slots=True)
class Testbed:
    """An emulator that holds nothing but the seed. ``env`` is what a service is started with."""

    config: Config
    env: Mapping[str, str]
    emulator_pid: int
    aws: Aws
    bare: Bare
    folder: Path

    @property
    def address(self) -> tuple[str, int]:
        """Where the Order Service listens."""
        return self.config.host, self.config.port

    @property
    def calls_folder(self) -> Path:
        return self.folder / "calls"

    def watch(self) -> Watch:
        return Watch(self.bare, self.emulator_pid)

    def product(self, stock: int = PLENTY) -> str:
        """A new product. Returns its id."""
        product_id = f"BENCH-{uuid4().hex[:8].upper()}"
        self.aws.products.seed(Product(product_id, "Benchmark product", Decimal("9.99"), stock, stock))
        return product_id

    def commands(self, *services: str, instances: Mapping[str, int] | None = None) -> list[Command]:
        """The processes of ``services``: one of each, or as many as ``instances`` says."""
        return [command for command in service_commands(load_catalog(), instances) if command.service in services]

    def logging_calls(self, commands: Iterable[Command]) -> list[Command]:
        """The same, each writing its AWS calls into `calls_folder`."""
        self.calls_folder.mkdir(parents=True, exist_ok=True)
        return [replace(one, argv=_instrumented(one, self.calls_folder)) for one in commands]

    @contextmanager
    def running(self, commands: Iterable[Command], only: Sequence[str] = (), **settings: str) -> Iterator[Services]:
        """Those processes, with ``settings`` over their environment, for as long as the block lasts.

        Starts all, or the labels in ``only``. Raises `CommandError` when one has to be killed in the end.
        """
        services = Services(commands, {**self.env, **settings}, LogFiles(self.folder / "logs"))
        try:
            services.start(*only)
            if ORDER in services.labels:
                self._wait_for_api()
            yield services
        finally:
            killed = services.stop(STOP_SECONDS)
        if killed:
            raise CommandError(f"{', '.join(killed)} did not stop within {STOP_SECONDS:g} s: see {self.folder}")

    def wait_until_drained(self, *services: str) -> None:
        """Return when no queue of ``services`` (default: all) holds a message, seen twice in a row.

        Raises `CommandError` when nothing goes on.
        """
        deadline, seen, empty = time.monotonic() + STALLED_SECONDS, self.bare.backlogs(*services), 0
        while empty < 2:
            time.sleep(0.2)
            before, seen = seen, self.bare.backlogs(*services)
            empty = 0 if any(seen.values()) else empty + 1
            if seen != before:
                deadline = time.monotonic() + STALLED_SECONDS
            elif time.monotonic() > deadline:
                raise CommandError(f"{seen} messages stay in the queues: see the logs in {self.folder}")

    def _wait_for_api(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers("http://{}:{}/health".format(*self.address)):
            if time.monotonic() > deadline:
                raise CommandError(f"The Order Service does not answer: see {self.folder / 'logs'}")
            time.sleep(0.05)


def _instrumented(command: Command, folder: Path) -> tuple[str, ...]:
    """``python -u -m MODULE …`` as ``python -u -m bench.instrumented CALL_LOG MODULE …``"""
    python, (module, *arguments) = command.argv[:3], command.argv[3:]
    log = str(folder / f"{command.label}{SUFFIX}")
    return (*python, "bench.instrumented", log, module, *arguments)
