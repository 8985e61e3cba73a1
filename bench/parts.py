"""The parts of the benchmark: ShopFlow beside the bare reference, from the first POST to the end of the last order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median

from bench.bed import SIDES, Bed, Bench, cpu_seconds
from bench.load import Placed, place_at_once, place_one_a_second, wait_for_ends
from bench.results import Result, Row, percentile
from shopflow.domain.money import money
from workers.gateway import SimulatedGateway

LOADS = ((300, 8, tuple(SIDES)), (2000, 16, ("ShopFlow",)))
"""Orders, the clients that place them, and who takes them: the reference would need three minutes for 2,000."""
QUICK_LOADS = ((20, 4, tuple(SIDES)),)
ROUNDS = 3
WITHOUT_GATEWAY = "Without the gateway: less the time that the simulated gateway took for that order."
RUN_ALL_NOTES = (
    "ShopFlow: what `make run-all` runs, with the settings that a user has who sets none. Reference: the same services "
    "with a process each, one AWS call for each message and step, a batch that waits for its slowest charge, no "
    "contracts and no outbox (bench/reference.py).",
    "Orders of one line; the gateway takes 300 to 800 ms and declines one in five. ShopFlow then releases the stock, "
    "the reference does not. ShopFlow's relay closes a declined order with 3 calls half a minute later: the AWS calls "
    "include only those that came before the end of the run.",
    f"Medians of {ROUNDS} rounds in turn, each on a fresh local AWS. Orders/s: from the first POST to the end of the "
    "last order, by the orders' own times.",
    "Clients, services and the emulator share the machine. Emulator CPU: its share of one core, its saves included.",
    WITHOUT_GATEWAY,
)
ONE_A_SECOND_NOTES = (
    "Every batch holds one message. AWS calls include the long polls of idle workers, which are 2 s on a local AWS.",
    WITHOUT_GATEWAY,
)
FIGURES = (
    ("throughput", "orders/s"),
    ("POST, p50", "ms"),
    ("POST, p99", "ms"),
    ("order from POST to its end, p50", "ms"),
    ("order from POST to its end, p99", "ms"),
    ("the same without the gateway, p50", "ms"),
    ("the same without the gateway, p99", "ms"),
    ("AWS calls", "an order"),
    ("emulator CPU", "% of a core"),
)
"""Name and unit of what `passage` returns."""
Figures = tuple[float, ...]


def run_all(bench: Bench) -> Result:
    """What `make run-all` runs, under load."""
    rows: list[Row] = []
    for orders, clients, sides in QUICK_LOADS if bench.quick else LOADS:
        passages: dict[str, list[Figures]] = {side: [] for side in SIDES}
        place = partial(place_at_once, orders=orders, clients=clients)
        for number in range(bench.sized(ROUNDS, 1)):
            for side in sides:
                bench.say(f"{orders:,} orders from {clients} clients, {side}, round {number + 1}")
                with bench.bed() as bed:
                    passages[side].append(passage(bed, side, place))
        load = f"{orders:,} orders, {clients} clients: "
        slowest = [min((one[0] for one in column), default=float("nan")) for column in passages.values()]
        rows += [Row(f"{load}throughput, slowest round", "orders/s", tuple(slowest)), *rows_of(passages, load)]
    return Result("run-all", "`make run-all` beside a bare reference", tuple(SIDES), tuple(rows), RUN_ALL_NOTES)


def one_a_second(bench: Bench) -> Result:
    """A quiet shop: how long a customer waits, and how many AWS calls an order takes alone."""
    passages, place = {}, partial(place_one_a_second, orders=bench.sized(60, 5))
    for side in SIDES:
        bench.say(side)
        with bench.bed() as bed:
            passages[side] = [passage(bed, side, place)]
    return Result("one-a-second", "One order a second", tuple(SIDES), tuple(rows_of(passages)), ONE_A_SECOND_NOTES)


def passage(bed: Bed, side: str, place: Callable[[Bed], list[Placed]]) -> Figures:
    """Start that side, place orders, wait for their ends, stop it. Returns the values of `FIGURES`."""
    with bed.running(side):
        started, cpu_before = time.monotonic(), cpu_seconds(bed.emulator_pid)
        placed = place(bed)
        ended = wait_for_ends(bed, [one.order_id for one in placed])
        cpu = (cpu_seconds(bed.emulator_pid) - cpu_before) / (time.monotonic() - started)
    posts = [one.post_ms for one in placed]
    took = [ended[one.order_id] - one.at for one in placed]
    own = [ms - _gateway_ms(bed, one) for ms, one in zip(took, placed, strict=True)]
    seconds = (max(ended.values()) - min(one.at for one in placed)) / 1000
    times = [percentile(values, percent) for values in (posts, took, own) for percent in (50, 99)]
    return (len(placed) / seconds, *times, bed.calls().total() / len(placed), cpu * 100)


def rows_of(passages: Mapping[str, Sequence[Figures]], prefix: str = "") -> list[Row]:
    """A row for each figure, with the median of each column's passages; NaN for a column without any."""
    return [
        Row(prefix + name, unit, tuple(_median([one[place] for one in column]) for column in passages.values()))
        for place, (name, unit) in enumerate(FIGURES)
    ]


def _median(values: Sequence[float]) -> float:
    return median(values) if values else float("nan")


def _gateway_ms(bed: Bed, order: Placed) -> float:
    """How long the gateway took: it derives its latency from the order's id."""
    slept: list[float] = []
    SimulatedGateway(bed.config.gateway, slept.append).charge(order.order_id, money("1"), None)
    return sum(slept) * 1000
