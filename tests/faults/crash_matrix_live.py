"""The crash matrix on real processes and a local AWS: `python -m tests.faults.crash_matrix_live --help`."""

from __future__ import annotations

import argparse
import itertools
import queue
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scripts.console import FAILED, OK, Progress, run_command
from tests.faults import scenarios as shared
from tests.faults.crash_lane import CrashLane, Played
from tests.faults.crash_points import Call, LiveScenario, Point, points_of
from tests.faults.lanes import clone, free_port
from tests.stack import AppliedStack, applied_stack

ABOUT = """\
Kill a real process (SIGKILL) before and after every call that it makes, once a call, and see that nothing is lost or
done twice.

Each scenario is first run undisturbed, to list the calls of each process to AWS, to the gateway and to the mailer. Then
it is run again for each of them, twice: the process dies before the call, and after it with the answer lost. It is
started again, and when all is quiet the invariants are checked. With the relay, and without it: then only a death
between a commit and its publication may leave an order open.

Exit code 0: every point was reached, and every invariant holds after each; 1: not so.
"""
SCENARIOS = [
    *map(LiveScenario, (shared.HAPPY, shared.OUT_OF_STOCK, shared.MULTI_ITEM, shared.DECLINED, shared.LOST_RACE)),
    LiveScenario(shared.HAPPY, refuse="order.created"),
    LiveScenario(shared.DECLINED, refuse="inventory.released"),
]
RECORDINGS = 3
MAX_TRIES = 6
"""At reaching a point: two messages that once came one by one may come together the next time."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a point, in the last of ``tries``."""

    point: Point
    played: Played
    tries: int
    seconds: float

    @property
    def failed(self) -> bool:
        return bool(self.played.breaches) or not self.played.reached


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.faults.crash_matrix_live", None, ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [live.name for live in SCENARIOS]
    only = f"only this one (may be given again): {'; '.join(names)}"
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help=only)
    parser.add_argument("--relay", choices=("with", "without"), help="only with, or only without the relay")
    parser.add_argument("--lanes", type=int, default=8, help="runs side by side, six processes each (default: 8)")
    arguments = parser.parse_args()
    chosen = [live for live in SCENARIOS if live.name in (arguments.scenario or names)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends this ends its processes too
    started = time.monotonic()
    results: list[Result] = []
    with applied_stack(Progress()) as stack:
        for relay in [relay for relay in (True, False) if arguments.relay in (None, _word(relay))]:
            results += run_matrix(stack, [live for live in chosen if relay or not live.refuse], relay, arguments.lanes)
    return report(results, time.monotonic() - started)


def run_matrix(stack: AppliedStack, chosen: Sequence[LiveScenario], relay: bool, most_lanes: int) -> list[Result]:
    """Every point of the chosen scenarios, on lanes of their own."""
    progress = Progress()
    with ExitStack() as running, ThreadPoolExecutor(most_lanes) as pool:
        with progress.step(f"Starting {most_lanes} sets of services, {_word(relay)} relay"):
            lanes = list(pool.map(lambda number: running.enter_context(_lane(stack, number, relay)), range(most_lanes)))
        idle: queue.SimpleQueue[CrashLane] = queue.SimpleQueue()
        for lane in lanes:
            idle.put(lane)
        with progress.step(f"Recording {len(chosen)} scenarios"):
            recordings = list(pool.map(lambda live: _record(idle, live), [*chosen] * RECORDINGS))
        points = [
            point
            for number, live in enumerate(chosen)
            for point in points_of(live, relay, recordings[number :: len(chosen)])
        ]
        with progress.step(f"Killing a process at each of {len(points)} points, {_word(relay)} relay") as show:
            tell = _Teller(len(points), show)
            return list(pool.map(lambda point: tell.told(_at(idle, point)), points))


def _lane(stack: AppliedStack, number: int, relay: bool) -> CrashLane:
    name = f"{_word(relay)}-relay-{number}"
    folder = stack.stack.folder / "crash-matrix" / name
    return CrashLane(clone(stack.config, stack.env, name), folder, free_port(), relay=relay)


def _record(idle: queue.SimpleQueue[CrashLane], live: LiveScenario) -> Sequence[Call]:
    lane = idle.get()
    try:
        played = lane.play(live)
    finally:
        idle.put(lane)
    if played.breaches:
        raise AssertionError(f"{live.name}, undisturbed: {'; '.join(map(str, played.breaches))}")
    return played.calls


def _at(idle: queue.SimpleQueue[CrashLane], point: Point) -> Result:
    lane = idle.get()
    started = time.monotonic()
    try:
        for tries in itertools.count(1):
            played = lane.play(point.scenario, point)
            if played.reached or played.breaches or tries == MAX_TRIES:
                return Result(point, played, tries, time.monotonic() - started)
    finally:
        idle.put(lane)
    raise AssertionError("unreachable")


class _Teller:
    """Says how far it is, and each failure at once."""

    def __init__(self, total: int, show: Callable[[str], None]) -> None:
        self._total = total
        self._show = show
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._done = 0
        self._failed = 0

    def told(self, result: Result) -> Result:
        with self._lock:
            self._done += 1
            self._failed += result.failed
            for line in _complaints([result]):
                self._show(line)
            left = (time.monotonic() - self._started) / self._done * (self._total - self._done)
            if self._done % 20 == 0 or self._done == self._total:
                self._show(f"{self._done} of {self._total}, {self._failed} failed, about {left:.0f} s left")
        return result


def report(results: Sequence[Result], seconds: float) -> int:
    table = Table(title="Crash matrix, real processes", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("", "scenario", "relay", "calls", "points", "reached", "left open", "breaches", "slowest (s)"):
        table.add_column(name, justify="left" if name in ("", "scenario", "relay") else "right")
    for (name, relay), group in _groups(results):
        reached = sum(result.played.reached for result in group)
        left_open = sum(bool(result.played.left_open) for result in group)
        breaches = sum(len(result.played.breaches) for result in group)
        mark = "[red]✘[/]" if any(result.failed for result in group) else "[green]✔[/]"
        figures = (
            len(group) // 2,
            len(group),
            reached,
            left_open,
            breaches,
            round(max(result.seconds for result in group)),
        )
        table.add_row(mark, name, relay, *map(str, figures))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for line in _complaints(results):
        console.print(line, style="red", markup=False)
    per_process = Counter(result.point.call.label for result in results)
    console.print("by process: " + ", ".join(f"{label} {count}" for label, count in sorted(per_process.items())))
    reached = sum(result.played.reached for result in results)
    console.print(f"{reached} of {len(results)} points covered in {seconds:.0f} s")
    return FAILED if any(result.failed for result in results) or not results else OK


def _groups(results: Sequence[Result]) -> Iterator[tuple[tuple[str, str], list[Result]]]:
    def key(result: Result) -> tuple[str, str]:
        return result.point.scenario.name, _word(result.point.relay)

    for name, group in itertools.groupby(results, key):
        yield name, list(group)


def _complaints(results: Iterable[Result]) -> Iterator[str]:
    for result in results:
        if not result.played.reached:
            yield f"{result.point}: not reached in {result.tries} tries"
        for breach in result.played.breaches:
            yield f"{result.point}: {breach}"


def _word(relay: bool) -> str:
    return "with" if relay else "without"


if __name__ == "__main__":
    sys.exit(run_command(main))
