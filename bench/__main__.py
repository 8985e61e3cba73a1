"""`python -m bench [part …]`"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from bench.figures import Result
from bench.machine import commit, machine
from bench.plots import draw
from bench.processes import Cores, choose_cores, running_on
from bench.results import save
from bench.runner import Bench, prepared_stack
from bench.table import table, verdict
from scripts.console import FAILED, OK, run_command
from scripts.console import Progress as Steps
from scripts.infra.stack import ROOT, Stack

PARTS = {
    "api": "what POST /orders adds to its AWS calls, and its memory",
    "pipeline": "orders a second, and what the chain adds to the gateway's latency",
    "order-cost": "AWS requests, units and dollars an order; requests of an idle day",
    "counted": "the same counted call by call over the in-memory twins",
    "contention": "one hot product, three inventory processes",
    "growth": "what changes with 100, 1,000 and 20,000 stored orders",
    "consumer-loop": "the consumer beside boto3, Celery and sqs-workers",
    "start-up": "infra-up, and each service from exec to polling",
    "flash-sale": "10,000 orders/s past one machine, simulated",
}
"""Each is a module of this package with a function ``measure(bench) -> Result``."""
ABOUT = """\
Measure what ShopFlow costs in time and money, and compare it with its targets.

Everything runs on an emulator of the benchmark's own, in .local/bench: no stack of yours is touched. The emulator has
one core and all else another, so run it on a machine that does nothing else. Ratios within one run say more than
absolute times. Results and plots go to docs/bench, those of the parts that ran; a full run takes about half an hour.

parts (default: all):
"""
EXIT_CODES = """\
exit codes: 0 measured, whether targets were met or not (a line for each that was missed); 1 something broke, or with
--strict a target was missed; 2 a wrong argument
"""


WIDTH = 120
"""Of the table when it goes to a file."""


@dataclass(frozen=True, slots=True)
class Options:
    """``folder``: where results and plots go."""

    parts: tuple[str, ...]
    quick: bool
    strict: bool
    folder: Path


def parse(arguments: Sequence[str]) -> Options:
    lines = "".join(f"  {name:<15}{what}\n" for name, what in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=ABOUT + lines,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="part", help="which to run")
    parser.add_argument("--quick", action="store_true", help="small numbers: whether it works, not how fast it is")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--output", type=Path, help="folder for results and plots (quick: .local/bench/quick)")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.parts if name not in PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}: choose from {', '.join(PARTS)}")
    usual = ROOT / ".local" / "bench" / "quick" if given.quick else ROOT / "docs" / "bench"
    return Options(tuple(given.parts or PARTS), given.quick, given.strict, given.output or usual)


def main() -> int:
    options = parse(sys.argv[1:])
    cores, console = choose_cores(), Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    if not cores.pinned:
        console.print("Processes are not pinned: that takes Linux and two cores.", style="yellow")
    with running_on(cores.rest), prepared_stack(Steps(console)) as stack:
        results = [_saved(result, options, cores) for result in run(options, stack, cores, console)]
    console.print(table(results))
    for line in verdict(results):
        console.print(line, style="red" if line.startswith("✘") else "green", markup=False)
    console.print(f"Results and plots: {options.folder}", markup=False)
    return FAILED if options.strict and any(result.missed for result in results) else OK


def run(options: Options, stack: Stack, cores: Cores, console: Console) -> Iterator[Result]:
    """Run the parts, one after the other, showing how far they are."""
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        task = progress.add_task("", total=len(options.parts))
        for number, part in enumerate(options.parts):
            started = time.monotonic()

            def advance(share: float, text: str, part: str = part, number: int = number) -> None:
                progress.update(task, completed=number + share, description=f"{part}: {text}")

            advance(0, "starting")
            yield import_module(f"bench.{part.replace('-', '_')}").measure(Bench(stack, cores, options.quick, advance))
            progress.console.print(f"✔ {part} ({time.monotonic() - started:.0f} s)", markup=False)


def _saved(result: Result, options: Options, cores: Cores) -> Result:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    save(options.folder, result, {"date": now, "commit": commit(), "quick": options.quick, "machine": machine(cores)})
    for plot in result.plots:
        draw(plot, options.folder)
    return result


if __name__ == "__main__":
    sys.exit(run_command(main))
