"""Runs parts of the benchmark, each on an emulator as Terraform and the seed left it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rich.console import Console

from bench.bare import Bare
from bench.infra_up import bench_stack
from bench.processes import Cores, running_on
from bench.testbed import Testbed
from scripts.console import Progress
from scripts.infra.emulator import Embedded
from scripts.infra.envfile import CREDENTIALS
from scripts.infra.health import port_is_taken
from scripts.infra.lifecycle import down, up
from scripts.infra.stack import Stack, read_json
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect

STACK = "bench"
QUIET = Progress(Console(quiet=True))


@dataclass(frozen=True, slots=True)
class Bench:
    """What a part is given. ``quick``: small numbers, which show that it works and not how fast it is.

    ``advance(share, text)`` tells whoever watches how far the part is (0-1) and what it is at.
    """

    stack: Stack
    cores: Cores
    quick: bool
    advance: Callable[[float, str], None]

    def sized(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    @contextmanager
    def testbed(self) -> Iterator[Testbed]:
        """A fresh emulator, for as long as the block lasts."""
        folder = self.stack.folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        emulator = Embedded(self.stack)
        emulator.kill()
        try:
            with running_on(self.cores.emulator):
                config = up(self.stack, {}, QUIET)
            port = free_port_from(self.stack.port + 1)
            env = self.stack.environment(os.environ) | {"HOST": config.host, "PORT": str(port), "LOG_FORMAT": "json"}
            config = replace(config, port=port)
            pid = read_json(self.stack.folder / "emulator" / "process.json")["pid"]  # type: ignore[index]
            yield Testbed(config, env, pid, connect(config, PATIENT), Bare(config), folder)
        finally:
            emulator.kill()


@contextmanager
def prepared_stack(progress: Progress, name: str = STACK) -> Iterator[Stack]:
    """The benchmark's stack, saved as Terraform and the seed leave it: every start of its emulator finds it so.

    No other AWS is reached while it is used, whatever is exported.
    """
    for variable in [variable for variable in os.environ if variable.startswith("AWS_")]:
        del os.environ[variable]
    os.environ.update(CREDENTIALS)
    stack = bench_stack(name)
    with stack.lock(progress, "benchmark"):
        Embedded(stack).kill()
        up(stack, {}, progress)
        down(stack, progress)
        yield stack


def free_port_from(first: int) -> int:
    """The first port from ``first`` on that nobody listens on."""
    return next(port for port in range(first, first + 100) if not port_is_taken(port))
