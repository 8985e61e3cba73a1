"""`python -m bench [part …]`"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from bench.bed import Bench, prepared_stack
from bench.parts import one_a_second, run_all
from bench.results import FOLDER, save, table_of
from scripts.console import OK, Progress, run_command
from scripts.infra.stack import ROOT

PARTS = {"run-all": run_all, "one-a-second": one_a_second}
WIDTH = 120
"""The width of a table that goes to a file."""
ABOUT = """\
Measure ShopFlow on a local AWS of the benchmark's own, in .local/bench. No other stack is touched. Use a machine that
does nothing else. Both parts together take about ten minutes.

What an order costs is counted: python -m tests.counting. What many orders a second need: python -m bench.capacity.

parts:
  run-all       what `make run-all` runs, beside a bare reference: orders a second, p50s, AWS calls, emulator CPU
  one-a-second  how long a customer of a quiet shop waits; the AWS calls of an order alone
"""


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench", None, ABOUT, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help="which to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="small numbers: to see that it works, not how fast it is")
    options = parser.parse_args()
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}: choose from {', '.join(PARTS)}")
    folder = ROOT / ".local" / "bench" / "quick" if options.quick else FOLDER
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    with prepared_stack(Progress(console)) as stack:
        for part in options.parts or PARTS:
            bench = Bench(stack, options.quick, lambda text: console.print(f"  {text} …", markup=False))
            bench.say(part)
            result = PARTS[part](bench)
            console.print(table_of(result), *result.notes, sep="\n", markup=False)
            save(result, folder, quick=options.quick)
    console.print(f"Results: {folder}", markup=False)
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
