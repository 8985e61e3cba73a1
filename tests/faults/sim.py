"""The simulation from the command line: `make sim`, `python -m tests.faults.sim --help`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.progress import Progress

from shopflow.invariants import Breach
from tests.faults.observer import RARE
from tests.faults.simulation import Result, Simulation

OK, FAILED = 0, 1
CHUNK = 25
ENOUGH_SEEDS = 500
"""So many seeds must come to every rare thing at least once."""
ABOUT = """\
Run all of ShopFlow over in-memory twins, through crashes, lost answers, duplicates, delays and the rest, then let
everything finish and check every invariant. Each run is decided by its seed alone.

  python -m tests.faults.sim --seeds 1000                   seeds 0 to 999
  python -m tests.faults.sim --seeds 1000 --first 5000      seeds 5000 to 5999
  python -m tests.faults.sim --seed 4711                    one of them again, telling all that happens in it
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.sim", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=_count, default=1000, metavar="N", help="how many seeds (default: 1000)")
    parser.add_argument("--first", type=_count, default=0, metavar="N", help="the first of them (default: 0)")
    parser.add_argument("--seed", type=_count, metavar="N", help="replay this one alone")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    console = Console(highlight=False, soft_wrap=True)
    try:
        if options.seed is not None:
            return _replay(options.seed, console)
        return _run(range(options.first, options.first + options.seeds), console)
    except KeyboardInterrupt:
        return 130


def simulated(seeds: range) -> list[Result]:
    """The results of ``seeds``, one after the other. One that breaks off is a breach, and ends no other."""
    return [_simulated(seed) for seed in seeds]


def _simulated(seed: int) -> Result:
    try:
        return Simulation(seed).run()
    except Exception as error:
        return Result(seed, [Breach(1, f"seed {seed}", f"breaks off: {error!r}")], 0, 0, frozenset())


def _run(seeds: range, console: Console) -> int:
    started, orders, faults, failed = time.monotonic(), 0, 0, 0
    reached: Counter[str] = Counter()
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(f"{len(seeds):,} seeds", total=len(seeds))
        for result in _results(seeds):
            orders, faults, failed = orders + result.orders, faults + result.faults, failed + bool(result.breaches)
            reached.update(result.reached)
            progress.advance(task)
            if result.breaches:
                _show(result, console)
    seconds = time.monotonic() - started
    verdict = f"{failed:,} seeds failed" if failed else "every invariant holds"
    console.print(f"{len(seeds):,} seeds, {orders:,} orders, {faults:,} faults, {seconds:.0f} s: {verdict}")
    console.print("Seeds that came to " + ", ".join(f"{what}: {reached[what]:,}" for what in sorted(RARE)))
    missed = sorted(RARE - reached.keys()) if len(seeds) >= ENOUGH_SEEDS else []
    if missed:
        console.print(f"No seed came to {', '.join(missed)}: the runs are too tame to prove anything.", style="red")
    return FAILED if failed or missed else OK


def _results(seeds: range) -> Iterator[Result]:
    """In the order of the seeds, from one process for each core."""
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(os.cpu_count(), initializer=logging.disable, initargs=(logging.CRITICAL,)) as pool:
        for results in pool.map(simulated, chunks):
            yield from results


def _replay(seed: int, console: Console) -> int:
    result = Simulation(seed, note=lambda text: console.print(text, markup=False)).run()
    _show(result, console)
    console.print(f"{result.orders} orders, {result.faults} faults, {len(result.breaches)} breaches")
    return FAILED if result.breaches else OK


def _show(result: Result, console: Console) -> None:
    for breach in result.breaches:
        console.print(f"seed {result.seed}: {breach}", style="red", markup=False)
    if result.breaches:
        console.print(f"  again: python -m tests.faults.sim --seed {result.seed}", markup=False)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


if __name__ == "__main__":
    sys.exit(main())
