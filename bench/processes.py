"""Processes on cores: who may run where, how much CPU and memory each has used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the emulator and one for all else, so that neither takes from the other. Empty: not pinned."""

    emulator: frozenset[int]
    rest: frozenset[int]

    @property
    def pinned(self) -> bool:
        return bool(self.emulator)


def choose_cores() -> Cores:
    """The last two cores that this process may use. No pinning with fewer, or where the system has no such call."""
    if not hasattr(os, "sched_setaffinity"):
        return Cores(frozenset(), frozenset())
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Cores(frozenset(), frozenset())
    return Cores(frozenset(allowed[-2:-1]), frozenset(allowed[-1:]))


@contextmanager
def running_on(cores: frozenset[int]) -> Iterator[None]:
    """What this thread starts inside, processes and threads, runs on ``cores``. Empty: wherever it may already."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """CPU time that the process has used. Raises ``psutil.NoSuchProcess`` when it is gone."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def resident_mib(pid: int) -> float:
    """Memory of the process that is in RAM now."""
    return float(psutil.Process(pid).memory_info().rss) / MEBIBYTE


def children() -> dict[int, str]:
    """The processes that this one has started and that still run: their command lines by pid."""
    running = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return {child.pid: " ".join(child.cmdline()) for child in running}
