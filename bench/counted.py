"""What an order costs on AWS, counted call by call without an emulator: `python -m bench.counted`

The count is made over the in-memory twins by `tests.counting`, which the tests check against their bounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.costs import PRICES, OrderCost, Prices, Usage
from bench.figures import Figure, Result, at_most
from scripts.console import OK, CommandError, Progress, last_line, run_command
from scripts.infra.stack import ROOT

if TYPE_CHECKING:
    from bench.runner import Bench

SCENARIOS = {
    "happy": "saturated, paid",
    "declined20": "saturated, 20 % declined",
    "oneASecond": "1 order/s, paid",
}


def count() -> tuple[dict[str, OrderCost], dict[str, int]]:
    """The cost of an order by scenario, and the requests of an idle day by process. Raises `CommandError`."""
    counting = [sys.executable, "-m", "tests.counting"]
    answer = subprocess.run(counting, cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise CommandError(f"The count failed: {last_line(answer.stderr)}")
    counted = json.loads(answer.stdout)
    return {name: _cost(counted[name]) for name in SCENARIOS}, counted["idleDay"]


def _cost(counted: Mapping[str, Any]) -> OrderCost:
    paid = (counted[name] for name in ("sqsRequests", "snsRequests", "writeUnits", "readUnits"))
    return OrderCost(counted["orders"], Usage(Counter(counted["calls"]), *paid))


def measure(bench: Bench) -> Result:
    """As a part of the benchmark. The tests hold the same bounds."""
    bench.advance(0, "counting")
    costs, idle = count()
    idle_requests = Figure("idle: requests", sum(idle.values()), "a day", at_most(20_000))
    figures = (*_of_cost(costs, "happy", 6, 10.5, 7.75), *_of_cost(costs, "declined20", None, 11.5, None))
    figures += (*_of_cost(costs, "oneASecond", None, None, None), idle_requests)
    notes = (f"Dollars a million, {PRICES.region}, since {PRICES.since}: {prices_in_words()}.",)
    return Result("counted", "Requests and cost an order, counted over the in-memory twins", figures, notes)


def _of_cost(
    costs: Mapping[str, OrderCost], name: str, calls: float | None, units: float | None, dollars: float | None
) -> list[Figure]:
    """The figures of one scenario; None: no bound."""
    cost, title = costs[name], SCENARIOS[name]
    rows = (
        ("AWS calls", cost.calls, "an order", calls),
        ("write units", cost.write_units, "an order", units),
        ("read units", cost.read_units, "an order", None),
        ("cost", cost.dollars_per_million(), "$ a million", dollars),
    )
    return [
        Figure(f"{title}: {what}", value, unit, None if bound is None else at_most(bound))
        for what, value, unit, bound in rows
    ]


def per_order(costs: Mapping[str, OrderCost]) -> Table:
    """A row for each operation, unit and price; a column for each scenario."""
    table = _table("an order of one line takes", *SCENARIOS.values())
    every = sorted({name for cost in costs.values() for name in cost.calls_by_operation})
    for name in every:
        table.add_row(name, *(f"{cost.calls_by_operation.get(name, 0):.2f}" for cost in costs.values()))
    table.add_section()
    table.add_row("AWS calls in all", *(f"{cost.calls:.2f}" for cost in costs.values()))
    table.add_row("write units", *(f"{cost.write_units:.2f}" for cost in costs.values()))
    table.add_row("read units", *(f"{cost.read_units:.2f}" for cost in costs.values()))
    table.add_row("dollars a million", *(f"{cost.dollars_per_million():.2f}" for cost in costs.values()))
    return table


def per_idle_day(requests: Mapping[str, int]) -> Table:
    """What each process asks for when nobody orders."""
    table = _table("an idle day takes", "requests")
    for name, number in requests.items():
        table.add_row(name, f"{number:,}")
    table.add_section()
    table.add_row("requests in all", f"{sum(requests.values()):,}")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE)
    table.add_column(first, no_wrap=True, min_width=26)
    for name in others:
        table.add_column(name, justify="right")
    return table


def main() -> int:
    about = "Count over the in-memory twins what an order uses of AWS, and what that costs."
    argparse.ArgumentParser(prog="python -m bench.counted", description=about).parse_args()
    console = Console(highlight=False)
    with Progress(console).step("Counting"):
        costs, idle = count()
    console.print(per_order(costs), per_idle_day(idle))
    console.print(f"Dollars a million, {PRICES.region}, since {PRICES.since}: {prices_in_words()}")
    return OK


def prices_in_words(prices: Prices = PRICES) -> str:
    return (
        f"SQS {prices.sqs_requests:.2f}, SNS {prices.sns_requests:.2f}, "
        f"write units {prices.write_units}, read units {prices.read_units}"
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
