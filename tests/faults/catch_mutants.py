"""Put deliberate faults into the code, one at a time, and show which run catches each. No run may catch the control.

python -m tests.faults.catch_mutants                       all of them
python -m tests.faults.catch_mutants notified_again        one of them
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shopflow.invariants import Breach
from tests.faults.lasting import absences, cases, damaged_rows, wrong_clocks
from tests.faults.matrix import CASES, points, undisturbed
from tests.faults.mutants import MUTANTS, Mutant
from tests.faults.simulation import Simulation
from tests.faults.verdict import Trial

OK, FAILED = 0, 1
MAX_CHARS = 70
FIRST_SEEDS = range(20)
MORE_SEEDS = range(20, 300)
CONTROL, UNCHANGED = "unchanged", Mutant("The code as it is.")


def catch(mutant: Mutant) -> tuple[Trial, Breach] | None:
    """The run that catches ``mutant``, with the first breach in it. The runs made for it come first, to save time."""
    with mutant.put_in():
        made_for = (trial for trial in trials() if all(words in trial.name for words in mutant.made_for))
        for trial in chain(made_for if mutant.made_for else (), trials()):
            try:
                breaches = trial.breaches()
            except Exception as error:  # no run of the unchanged code raises anything
                breaches = [Breach(1, trial.name, f"breaks off: {error!r}")]
            if breaches:
                return trial, breaches[0]
    return None


def trials() -> Iterator[Trial]:
    """All runs of the fault tests: the short and the most telling ones first."""
    yield from (undisturbed(*case) for case in CASES)
    yield from chain(absences(), wrong_clocks(), damaged_rows())
    yield from map(_seed, FIRST_SEEDS)
    for case in CASES:
        yield from points(*case)
    yield from cases()
    yield from map(_seed, MORE_SEEDS)


def _seed(seed: int) -> Trial:
    return Trial(f"seed {seed}", lambda: Simulation(seed).run().breaches)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.catch_mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mutants", nargs="*", metavar="MUTANT", help=f"of {', '.join(MUTANTS)}")
    names = parser.parse_args(arguments).mutants or list(MUTANTS)
    if unknown := [name for name in names if name not in MUTANTS]:
        parser.error(f"there is no mutant {', '.join(unknown)}")
    logging.disable(logging.CRITICAL)
    try:
        return _show(names, Console(highlight=False))
    except KeyboardInterrupt:
        return 130


def _show(names: Sequence[str], console: Console) -> int:
    table = Table("Mutant", "Caught by", "Invariant", "Seconds")
    failed = 0
    for name in (CONTROL, *names):
        started = time.monotonic()
        with console.status(name):
            caught = catch(MUTANTS.get(name, UNCHANGED))
        as_it_should = (caught is None) == (name == CONTROL)
        failed += not as_it_should
        cells = [name, "nothing", "", f"{time.monotonic() - started:.1f}"]
        if caught:
            trial, breach = caught
            cells[1:3] = [trial.name, f"{breach.invariant}: {' '.join(breach.text.split())[:MAX_CHARS]}"]
        table.add_row(*map(escape, cells), style=None if as_it_should else "red")
    console.print(table)
    console.print(f"{len(names)} mutants: {f'{failed} not as it should be' if failed else 'every one is caught'}")
    return FAILED if failed else OK


if __name__ == "__main__":
    sys.exit(main())
