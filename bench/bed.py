"""A local AWS of the benchmark's own. ShopFlow or the bare reference runs on it as a user would start it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

from bench.reference import WORKERS
from scripts.console import QUIET, CommandError, Progress
from scripts.infra.emulator import Embedded
from scripts.infra.lifecycle import down, up
from scripts.infra.stack import ROOT, SAVE_SECONDS, Stack, answers, port_is_taken
from scripts.services import ORDER, Command, LogFiles, Services
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import Aws, connect
from shopflow.config import Config
from shopflow.domain.stock import Product
from shopflow.environment import CREDENTIALS

START_SECONDS = 60
DRAIN_SECONDS = 300
PLENTY = 1_000_000
COUNTING = ROOT / "bench" / "counting"


_REFERENCE = (sys.executable, "-u", "-m", "bench.reference")
SIDES: Mapping[str, Sequence[Command]] = {
    "ShopFlow": [Command("run_all", "run_all", (sys.executable, "-m", "scripts.run_all"))],
    "reference": [Command(service, service, (*_REFERENCE, service)) for service in (ORDER, *WORKERS)],
}
"""The two that are compared, a column each: what `make run-all` runs, and `bench.reference`."""


@dataclass(frozen=True, slots=True)
class Bed:
    """A local AWS that holds nothing but the seed. ``config``: of the services on it."""

    config: Config
    aws: Aws
    env: Mapping[str, str]
    emulator_pid: int
    folder: Path

    def product(self) -> str:
        """A new product with more units than any load orders. Returns its id."""
        product_id = f"BENCH-{uuid4().hex[:8].upper()}"
        self.aws.products.put(Product(product_id, "Benchmark product", Decimal("9.99"), PLENTY, PLENTY))
        return product_id

    @contextmanager
    def running(self, side: str) -> Iterator[None]:
        """Run that one of `SIDES` until the block ends. Its Order Service answers."""
        with Services(SIDES[side], self.env, LogFiles(self.folder)) as services:
            services.start()
            url = f"http://{self.config.host}:{self.config.port}/health"
            self._wait(lambda: answers(url), START_SECONDS, "The Order Service does not answer")
            yield
            # The Audit Service may be behind when the orders have ended: its calls are to be counted, too.
            backlogs = self.aws.backlogs()
            self._wait(
                lambda: not any(backlogs.of(service).queue.total for service in WORKERS),
                DRAIN_SECONDS,
                "A queue does not get empty",
            )

    def calls(self) -> Counter[str]:
        """AWS calls by operation of all services that have run here and ended."""
        files = self.folder.glob("calls/*.json")
        return sum((Counter(json.loads(file.read_text())) for file in files), Counter[str]())

    def _wait(self, condition: Callable[[], bool], seconds: float, problem: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise CommandError(f"{problem}: see {self.folder}")
            time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a part of the benchmark gets. ``quick``: small numbers, to see that it works. ``say`` shows progress."""

    stack: Stack
    quick: bool
    say: Callable[[str], None]

    def sized(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    @contextmanager
    def bed(self) -> Iterator[Bed]:
        """A fresh local AWS, until the block ends."""
        folder = self.stack.folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "calls").mkdir(parents=True)
        try:
            shutil.rmtree(self.stack.folder / "emulator", ignore_errors=True)
            shutil.copytree(self.stack.folder / "saved", self.stack.folder / "emulator")
            config = up(self.stack, {}, QUIET)
            config = replace(config, port=free_port_from(self.stack.port + 1))
            env = self.stack.environment(os.environ) | {
                "PORT": str(config.port),
                "PYTHONPATH": str(COUNTING),
                "BENCH_CALLS": str(folder / "calls"),
            }
            process = Embedded(self.stack).process
            if process is None:
                raise CommandError("The local AWS has ended. Its log is in .local/bench/emulator/emulator.log")
            yield Bed(config, connect(config, PATIENT), env, process.pid, folder)
        finally:
            Embedded(self.stack).kill()


@contextmanager
def prepared_stack(progress: Progress) -> Iterator[Stack]:
    """The benchmark's stack in .local/bench, with its files as Terraform and the seed leave them.

    Its emulator saves while it runs, as the developer's does. No exported AWS variable is used meanwhile.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(CREDENTIALS)
    folder = ROOT / ".local" / "bench"
    stack = Stack("bench", folder, folder / "env", free_port_from(24_000), "shopflow-bench", save_seconds=SAVE_SECONDS)
    stack = replace(stack, port=stack.record().get("port", stack.port))  # a free one at first, which it keeps
    with stack.lock(progress, "benchmark"):
        Embedded(stack).kill()
        shutil.rmtree(stack.folder / "emulator", ignore_errors=True)
        if (stack.folder / "saved").exists():
            shutil.copytree(stack.folder / "saved", stack.folder / "emulator")
        up(stack, {}, progress)
        down(stack, progress)
        shutil.rmtree(stack.folder / "saved", ignore_errors=True)
        shutil.copytree(stack.folder / "emulator", stack.folder / "saved")
        yield stack


def free_port_from(first: int) -> int:
    """The first port from ``first`` on that nothing listens on."""
    return next(port for port in range(first, first + 100) if not port_is_taken(port))


def cpu_seconds(pid: int) -> float:
    """Processor time of the process and of its ended children (the emulator's saves). NaN where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
