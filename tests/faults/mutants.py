"""The teeth of the fault tests: each deliberate fault in the code is caught, and nothing is in the code as it is.

python -m tests.faults.mutants                       all of them
python -m tests.faults.mutants notified_again            one of them
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shopflow.invariants import Breach
from tests.faults.away import absences, wrong_clocks
from tests.faults.matrix import AtCall, Run, judged, points
from tests.faults.mutants_of_messaging import OF_MESSAGING
from tests.faults.mutants_of_neighbours import OF_NEIGHBOURS
from tests.faults.mutants_of_services import OF_SERVICES
from tests.faults.neighbours import cases, spoiled_rows
from tests.faults.scenarios import DECLINED, SCENARIOS, Scenario
from tests.faults.simulation import Simulation
from tests.faults.surgery import Mutant, OutdatedMutant, Surgery, operated

OK, FAILED = 0, 1
MAX_CHARS = 70
CASES = [
    (scenario, relay)
    for scenario in (DECLINED, *(one for one in SCENARIOS if one is not DECLINED))
    for relay in ((True,) if scenario.needs_relay else (False, True))
]
"""The scenarios of the matrix, first the one with the most steps."""
MUTANTS: tuple[Mutant, ...] = (*OF_SERVICES, *OF_MESSAGING, *OF_NEIGHBOURS)
MADE_FOR = {
    "any_amount_taken": "gateway.charge about ORD-V6S4V135: nonsense",
    "any_reason_taken": "gateway.charge about ORD-V6S4V135: nonsense",
    "committed_before_encoded": "gateway.charge about ORD-V6S4V135: nonsense",
    "decision_published": "oversleep at call 11, payment's gateway.charge",
    "held_messages_let_go": "orders.read about ORD-V6S4V135: refuse",
    "nothing_received_while_anything_is_held": "orders.read about ORD-V6S4V135: refuse",
    "retried_together": "orders.read about ORD-V6S4V135: refuse",
    "outage_taken_for_a_decline": "lose_the_answer at call 11, payment's gateway.charge",
    "publish_fails_as_a_whole": "inventory's topic.publish about ORD-V6S4V135: break_down",
    "refused_entries_ignored": "lose_answers_for_ten_minutes at call 26, inventory's orders.commit",
    "sweep_cut_short_by_one_order": "relay's orders.read about ORD-V6S4V135: refuse",
}
"""The runs that have this text in their names come first. That only saves time: after them every run is tried."""
FIRST_SEEDS = range(20)
MORE_SEEDS = range(20, 300)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run that may catch a mutant."""

    name: str
    breaches: Callable[[], list[Breach]]


@dataclass(frozen=True, slots=True)
class Caught:
    """By which run, the first breach in it, and how many runs that took."""

    by: str
    breach: Breach
    runs: int


def catch(mutant: Mutant) -> Caught | None:
    """What catches ``mutant``; None when nothing does."""
    with operated(mutant):
        made_for = MADE_FOR.get(mutant.__name__)
        first = (trial for trial in trials() if made_for in trial.name) if made_for else ()
        for number, trial in enumerate(chain(first, trials()), 1):
            try:
                breaches = trial.breaches()
            except OutdatedMutant:
                raise
            except Exception as error:  # no run of the code as it is raises anything
                breaches = [Breach(1, trial.name, f"breaks off: {error!r}")]
            if breaches:
                return Caught(trial.name, breaches[0], number)
    return None


def trials() -> Iterator[Trial]:
    """Each scenario without a fault, services away, wrong rows, some seeds, the matrix, faults of one order, more."""
    for scenario, relay in CASES:
        yield Trial(f"{scenario.name}, no fault", partial(_undisturbed, scenario, relay))
    yield from (Trial(str(absence), absence.breaches) for absence in absences())
    yield from (Trial(str(clock), clock.breaches) for clock in wrong_clocks())
    yield from (Trial(str(row), row.breaches) for row in spoiled_rows())
    yield from map(_seed, FIRST_SEEDS)
    for scenario, relay in CASES:
        for point in points(scenario, relay=relay):
            yield Trial(str(point), point.breaches)
    for case in cases():
        yield Trial(str(case), case.breaches)
    yield from map(_seed, MORE_SEEDS)


def _undisturbed(scenario: Scenario, relay: bool) -> list[Breach]:
    return judged(Run(scenario, AtCall(), relay=relay, scale={}))


def _seed(seed: int) -> Trial:
    return Trial(f"seed {seed}", lambda: Simulation(seed).run().breaches)


def unchanged(_: Surgery) -> None:
    """The control: the code as it is."""


def main(arguments: list[str] | None = None) -> int:
    by_name = {mutant.__name__: mutant for mutant in MUTANTS}
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mutants", nargs="*", metavar="MUTANT", help=f"of {', '.join(by_name)}")
    names = parser.parse_args(arguments).mutants or list(by_name)
    if unknown := [name for name in names if name not in by_name]:
        parser.error(f"there is no mutant {', '.join(unknown)}")
    logging.disable(logging.CRITICAL)
    try:
        return _show([by_name[name] for name in names], Console(highlight=False))
    except KeyboardInterrupt:
        return 130


def _show(mutants: list[Mutant], console: Console) -> int:
    table = Table("Mutant", "Caught by", "Invariant", "Seconds")
    failed = 0
    for mutant in (unchanged, *mutants):
        started = time.monotonic()
        with console.status(mutant.__name__):
            caught = catch(mutant)
        as_it_should = (caught is None) == (mutant is unchanged)
        failed += not as_it_should
        colour = "" if as_it_should else "[red]"
        by, found = (caught.by, _one_line(caught.breach)) if caught else ("nothing", "")
        seconds = f"{time.monotonic() - started:.1f}"
        table.add_row(*(colour + escape(cell) for cell in (mutant.__name__, by, found, seconds)))
    console.print(table)
    console.print(f"{len(mutants)} mutants: {f'{failed} not as it should be' if failed else 'every one is caught'}")
    return FAILED if failed else OK


def _one_line(breach: Breach) -> str:
    return f"{breach.invariant}: {' '.join(breach.text.split())[:MAX_CHARS]}"


if __name__ == "__main__":
    sys.exit(main())
