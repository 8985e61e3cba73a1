"""`python -m bench [part …]`"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from rich.console import Console

from bench.bed import Bench, prepared_stack
from bench.results import FOLDER, Result, save, table_of
from scripts.console import OK, Progress, run_command
from scripts.infra.stack import ROOT

PARTS = {
    "run-all": "what `make run-all` runs, beside a bare reference: orders a second, p50s, AWS calls, emulator CPU",
    "one-a-second": "how long a customer of a quiet shop waits; the AWS calls of an order alone",
    "growth": "the same load with 20,000 stored orders",
    "start-up": "infra-up and run-all, from the command until they are ready",
}
"""Each is a module of this package with a function ``measure(bench) -> Result``."""
WIDTH = 120
"""The width of a table that goes to a file."""
ABOUT = """\
Measure ShopFlow on a local AWS of the benchmark's own, in .local/bench. No other stack is touched. Use a machine that
does nothing else. The full run takes about half an hour.

What an order costs is counted: python -m tests.counting. What many orders a second need: python -m bench.capacity.

parts:
""" + "".join(f"  {name:<14}{what}\n" for name, what in PARTS.items())


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench", None, ABOUT, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help="which to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="small numbers: to see that it works, not how fast it is")
    parser.add_argument("--output", type=Path, help="folder for the results (default: docs/bench, quick: .local/bench)")
    options = parser.parse_args()
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}: choose from {', '.join(PARTS)}")
    folder = options.output or (ROOT / ".local" / "bench" / "quick" if options.quick else FOLDER)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    with prepared_stack(Progress(console)) as stack:
        for part in options.parts or PARTS:
            result = run(part, Bench(stack, options.quick, lambda text: console.print(f"  {text} …", markup=False)))
            console.print(table_of(result), *result.notes, sep="\n", markup=False)
            save([result], folder, quick=options.quick)
    console.print(f"Results: {folder}", markup=False)
    return OK


def run(part: str, bench: Bench) -> Result:
    bench.say(part)
    result: Result = import_module(f"bench.{part.replace('-', '_')}").measure(bench)
    return result


if __name__ == "__main__":
    sys.exit(run_command(main))
