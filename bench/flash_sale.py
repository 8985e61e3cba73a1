"""Past one machine: a flash sale at 10,000 orders a second, simulated. `python -m bench.flash_sale --help`"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.figures import Figure, Plot, Result, Row, percentile
from bench.flash_sale_model import Sale
from bench.flash_sale_parameters import WORKERS, Parameters, in_words, load_parameters
from bench.flash_sale_scenario import HOT, STOCK_SHARE, Outcome, Scenario, scenarios
from bench.plots import draw
from bench.runner import Bench
from scripts.console import OK, run_command
from scripts.infra.stack import ROOT

TITLE = "Flash sale, simulated"
FOLDER = ROOT / "docs" / "bench"
ORDERS_PER_SECOND = 10_000
SAMPLE_SECONDS = 1.0
SERVICES = ("api", *WORKERS)
Advance = Callable[[float, str], None]


def simulate(seconds: float, orders_per_second: int, parameters: Parameters, advance: Advance) -> list[Outcome]:
    """Every scenario, each with the threads that keep up with that load when no product is hot."""
    threads = {name: parameters.threads(name, orders_per_second) for name in WORKERS}
    chosen = scenarios(orders_per_second, seconds)
    outcomes = []
    for number, scenario in enumerate(chosen):
        advance(number / len(chosen), scenario.name)
        outcomes.append(Sale(scenario, parameters, threads).run(SAMPLE_SECONDS))
    return outcomes


def measure(bench: Bench) -> Result:
    """As a part of the benchmark."""
    parameters = load_parameters(FOLDER)
    orders_per_second, seconds = bench.sized(ORDERS_PER_SECOND, 500), bench.sized(20, 3)
    outcomes = simulate(seconds, orders_per_second, parameters, bench.advance)
    return result_of(outcomes, parameters)


def result_of(outcomes: Sequence[Outcome], parameters: Parameters) -> Result:
    figures = [figure for service in SERVICES for figure in _of_service(service, outcomes[0].scenario, parameters)]
    figures += [figure for outcome in outcomes for figure in _of_outcome(outcome)]
    plots = _backlog_plot(outcomes), _time_plot(outcomes)
    return Result("flash-sale", TITLE, tuple(figures), notes_of(outcomes[0].scenario, parameters), plots)


def notes_of(scenario: Scenario, parameters: Parameters) -> tuple[str, ...]:
    """What to know of the numbers."""
    return (
        f"Not measured: simulated. {scenario.orders_per_second:,} orders/s for {scenario.seconds:g} s. In a flash sale "
        f"{HOT:.0%} of them want one product, of which there are units for {STOCK_SHARE / HOT:.0%} of those.",
        f"CPU an order: {parameters.measured or 'assumed, since the pipeline has not been measured here'}.",
        f"AWS calls, assumed: {in_words(parameters.aws)}.",
        "Threads keep up with the load when no product is hot. Complete: every customer told, declined stock back.",
    )


def _of_service(service: str, scenario: Scenario, parameters: Parameters) -> list[Figure]:
    rate = scenario.orders_per_second
    figures = [Figure(f"{service}: cores", parameters.cores(service, rate), "")]
    if service in WORKERS:
        figures.append(Figure(f"{service}: consumer threads", parameters.threads(service, rate), ""))
    return figures


def _of_outcome(outcome: Outcome) -> list[Figure]:
    name = outcome.scenario.name
    return [
        Figure(f"{name}: complete after", outcome.done_at, "s"),
        Figure(f"{name}: p99 of an order", percentile(outcome.latencies, 99), "s"),
        Figure(f"{name}: largest backlog", outcome.largest_backlog, "messages"),
    ]


def _backlog_plot(outcomes: Sequence[Outcome]) -> Plot:
    """Messages in the queue of the Inventory Service: that is where all of them wait."""
    longest = max(len(outcome.times) for outcome in outcomes)
    rows = tuple(
        Row(place * SAMPLE_SECONDS, {one.scenario.name: _at(one.backlog["inventory"], place) for one in outcomes})
        for place in range(longest)
    )
    return Plot("flash-sale-backlog", "Backlog of the Inventory Service", "seconds", "messages", rows)


def _at(seen: Sequence[int], place: int) -> float:
    """What had been seen by then: nothing is left once all is done."""
    return seen[place] if place < len(seen) else 0


def _time_plot(outcomes: Sequence[Outcome]) -> Plot:
    rows = tuple(
        Row(
            one.scenario.name,
            {
                "p50": percentile(one.latencies, 50),
                "p99": percentile(one.latencies, 99),
                "all complete": one.done_at,
            },
        )
        for one in outcomes
    )
    return Plot("flash-sale-time", "From the order to its end", "", "seconds", rows)


def workers_table(scenario: Scenario, parameters: Parameters) -> Table:
    """How many of each kind keep up."""
    table = Table("service", "consumer threads", "cores", box=SIMPLE)
    for service in SERVICES:
        rate = scenario.orders_per_second
        threads = f"{parameters.threads(service, rate):,}" if service in WORKERS else ""
        table.add_row(service, threads, f"{parameters.cores(service, rate):,}")
    return table


def outcomes_table(outcomes: Sequence[Outcome]) -> Table:
    """A row for each scenario."""
    table = Table(box=SIMPLE)
    table.add_column("scenario", no_wrap=True)
    for title in ("complete s", "p50 s", "p99 s", "backlog", "in flight", "published /s", "row units /s", "refused"):
        table.add_column(title, justify="right")
    for one in outcomes:
        p50, p99 = (percentile(one.latencies, percent) for percent in (50, 99))
        counted = one.largest_backlog, one.most_in_flight, one.most_published_a_second, one.most_units_of_a_row
        times = (f"{seconds:.1f}" for seconds in (one.done_at, p50, p99))
        conflicts = f"{one.conflicts_for_each_made:.1f}"
        table.add_row(one.scenario.name, *times, *(f"{number:,}" for number in counted), conflicts)
    return table


def main() -> int:
    about = "Simulate a flash sale past one machine. CPU times come from docs/bench/results.json if they are there."
    parser = argparse.ArgumentParser(prog="python -m bench.flash_sale", description=about)
    parser.add_argument("--orders-per-second", type=int, default=ORDERS_PER_SECOND, metavar="N", help="default: 10,000")
    parser.add_argument("--seconds", type=float, default=20, metavar="S", help="how long the sale lasts (default: 20)")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw the plots into this folder")
    options = parser.parse_args()
    if options.orders_per_second < 1 or options.seconds <= 0:
        parser.error("a sale has at least one order a second, and lasts some time")
    console, parameters = Console(highlight=False), load_parameters(FOLDER)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=1)
        outcomes = simulate(
            options.seconds,
            options.orders_per_second,
            parameters,
            lambda share, text: progress.update(task, completed=share, description=text),
        )
    scenario = outcomes[0].scenario
    console.print(workers_table(scenario, parameters), outcomes_table(outcomes))
    console.print(
        "refused: transactions on the hot product, for each that was made. Row units: write units of one of its rows."
    )
    console.print(*notes_of(scenario, parameters), sep="\n")
    result = result_of(outcomes, parameters)
    for plot in result.plots if options.plots else ():
        console.print(f"Drawn: {draw(plot, options.plots)}", markup=False)
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
