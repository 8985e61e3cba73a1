"""Part 1: what `POST /orders` takes beside the bare AWS calls that it makes, and whether its memory stays flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.bare import BareOrders
from bench.figures import Conditions, Figure, Plot, Result, Row, at_least, at_most, typical_ratio
from bench.load import HttpClient, Load, Place, place_orders
from bench.processes import children, resident_mib
from bench.runner import Bench
from bench.testbed import Testbed
from scripts.services import ORDER

TITLE = "API: POST /orders beside the bare BatchGet, Put and Publish"
CLIENTS = (1, 8, 32)
MEMORY_STEP = 1000
"""Orders between two purges of the queues, which nobody consumes here."""
ALONE = {"RELAY": "off"}
"""Without workers no event has a receipt: the relay would publish every order's again and again."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Interleaved rounds of the API and of the bare calls, from the same number of clients."""

    clients: int
    api: tuple[Load, ...]
    bare: tuple[Load, ...]
    conditions: Conditions

    def milliseconds(self, percent: float, loads: Sequence[Load]) -> float:
        return median(load.milliseconds(percent) for load in loads)

    @property
    def latency_ratio(self) -> float:
        return typical_ratio([one.milliseconds(50) for one in self.api], [one.milliseconds(50) for one in self.bare])

    @property
    def throughput_ratio(self) -> float:
        return typical_ratio([one.per_second for one in self.api], [one.per_second for one in self.bare])


def measure(bench: Bench) -> Result:
    with bench.testbed() as bed, bed.running(bed.commands(ORDER), **ALONE):
        product_id = bed.product()
        rounds = []
        for number, clients in enumerate(CLIENTS):
            bench.advance(number * 0.2, f"{clients} client{'s' * (clients > 1)}")
            rounds.append(_rounds(bench, bed, product_id, clients))
        memory = _memory(bench, bed, product_id)
    return Result("api", TITLE, (*(one for each in rounds for one in _figures(each)), memory), plots=_plots(rounds))


def _rounds(bench: Bench, bed: Testbed, product_id: str, clients: int) -> Rounds:
    count = bench.sized(200 if clients == 1 else 600, 40)
    bare: list[Place] = [BareOrders(bed.bare, product_id).place] * clients
    api: list[Place] = [HttpClient(bed.address, product_id).place for _ in range(clients)]
    pairs = []
    with bed.watch() as watch:
        for number in range(1 + bench.sized(7, 2)):
            pair = place_orders(api, count), place_orders(bare, count)
            bed.bare.purge()
            if number:  # the first one warms up
                pairs.append(pair)
    of_api, of_bare = zip(*pairs, strict=True)
    return Rounds(clients, of_api, of_bare, watch.conditions)


def _figures(rounds: Rounds) -> list[Figure]:
    who = f"{rounds.clients} client{'s' * (rounds.clients > 1)}"
    latency, throughput = rounds.latency_ratio, rounds.throughput_ratio
    figures = [
        ("p50 / bare p50", latency, "x", at_most(1.5) if rounds.clients == 1 else None),
        ("throughput / bare throughput", throughput, "x", at_least(0.6) if rounds.clients == 8 else None),
        ("p50", rounds.milliseconds(50, rounds.api), "ms", None),
        ("p99", rounds.milliseconds(99, rounds.api), "ms", None),
        ("p50 of the bare calls", rounds.milliseconds(50, rounds.bare), "ms", None),
        ("p99 of the bare calls", rounds.milliseconds(99, rounds.bare), "ms", None),
        ("throughput", median(load.per_second for load in rounds.api), "orders/s", None),
        ("throughput of the bare calls", median(load.per_second for load in rounds.bare), "orders/s", None),
    ]
    return [Figure(f"{who}: {name}", value, unit, target, rounds.conditions) for name, value, unit, target in figures]


def _memory(bench: Bench, bed: Testbed, product_id: str) -> Figure:
    """How much the process grows, once the first quarter of the orders has filled what it keeps."""
    (pid,) = [pid for pid, line in children().items() if line.endswith("-m api")]
    clients: list[Place] = [HttpClient(bed.address, product_id).place for _ in range(8)]
    steps = bench.sized(20, 4)
    sizes = []
    with bed.watch() as watch:
        for number in range(steps):
            bench.advance(0.6 + 0.4 * number / steps, "memory")
            place_orders(clients, bench.sized(MEMORY_STEP, 100))
            bed.bare.purge()
            sizes.append(resident_mib(pid))
    orders = steps * bench.sized(MEMORY_STEP, 100)
    name = f"memory: growth from {orders // 4:,} to {orders:,} orders"
    return Figure(name, sizes[-1] - sizes[steps // 4 - 1], "MiB", at_most(5), watch.conditions)


def _plots(rounds: Sequence[Rounds]) -> tuple[Plot, ...]:
    def row(one: Rounds) -> Row:
        sides = {"API": one.api, "bare": one.bare}
        values = {
            f"{name} p{percent}": one.milliseconds(percent, sides[name]) for name in sides for percent in (50, 99)
        }
        return Row(str(one.clients), values)

    return (Plot("api-latency", "POST /orders and the bare AWS calls", "clients", "ms", tuple(map(row, rounds))),)
