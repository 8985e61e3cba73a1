"""Part 5: whether anything grows with the number of stored orders: calls, units, keyed calls' latency, memory."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from bench.calls import everything
from bench.figures import Conditions, Figure, Plot, Result, Row, at_most
from bench.processes import children, resident_mib
from bench.runner import Bench
from bench.runs import Run, saturated
from bench.stored import store_finished_orders
from bench.testbed import WORKERS, Testbed
from shopflow import jsontext
from shopflow.domain.event import Event

TITLE = "Growth: 100, 1,000 and 20,000 stored orders"
KEYED = ("PutItem", "BatchGetItem", "TransactWriteItems", "UpdateItem", "BatchExecuteStatement")
FLAT = 1.2
LOOKS = 5
SHARE_OF_WORKER = {"inventory": 0, "payment": 1, "notification": 2, "audit": 0}
"""Which event of a happy order's trail each worker is given again."""
MAX_WAITING = 500
NOTES = (
    "Ratios are of the most to the fewest stored orders. Keyed calls: the mean of each operation's median.",
    "Scans and queries are linear in the emulator, which has no indexes: shown for scale, no fault of ShopFlow's.",
    "Memory of a worker: events of finished orders, delivered again, from a quarter of them to the end.",
)


@dataclass(frozen=True, slots=True)
class Level:
    """What was seen with so many orders stored."""

    stored: int
    run: Run
    keyed_ms: float
    scan_ms: float
    trail_ms: float


def measure(bench: Bench) -> Result:
    counts = (100, 1000, 20_000) if not bench.quick else (100, 500)
    levels = []
    with bench.testbed() as bed:
        stored = 0
        for number, count in enumerate(counts):
            bench.advance(0.5 * number / len(counts), f"{count:,} stored orders")
            store_finished_orders(bed, count - stored)
            levels.append(_look(bench, bed, count))
            stored = count + len(levels[-1].run.orders)
        memory = _memory(bench, bed, levels[-1].run)
    return Result("growth", TITLE, (*_figures(levels), *memory), NOTES, (_plot(levels),))


def _look(bench: Bench, bed: Testbed, stored: int) -> Level:
    run = saturated(bed, bench.sized(200, 30))
    made = everything(run.calls)
    medians = [median(call.seconds for call in made if call.operation == name) for name in KEYED]
    order_id = run.orders[0].order_id
    scan = _median_ms(lambda: list(bed.aws.orders.open_orders()))
    return Level(stored, run, fmean(medians) * 1000, scan, _median_ms(lambda: bed.aws.audit.trail(order_id)))


def _median_ms(call: Callable[[], object]) -> float:
    def once() -> float:
        started = time.perf_counter()
        call()
        return (time.perf_counter() - started) * 1000

    return median(once() for _ in range(LOOKS))


def _figures(levels: Sequence[Level]) -> Iterator[Figure]:
    few, many = levels[0], levels[-1]
    conditions = many.run.conditions
    yield Figure("AWS calls an order, ratio", many.run.cost.calls / few.run.cost.calls, "x", at_most(FLAT), conditions)
    units = many.run.cost.write_units / few.run.cost.write_units
    yield Figure("write units an order, ratio", units, "x", at_most(FLAT), conditions)
    yield Figure("keyed calls' latency, ratio", many.keyed_ms / few.keyed_ms, "x", at_most(FLAT), conditions)
    for level in levels:
        yield from _of_level(level)


def _of_level(level: Level) -> Iterator[Figure]:
    rows = (
        ("AWS calls", level.run.cost.calls, "an order"),
        ("write units", level.run.cost.write_units, "an order"),
        ("keyed calls", level.keyed_ms, "ms"),
        ("scan of open orders", level.scan_ms, "ms"),
        ("query of a trail", level.trail_ms, "ms"),
    )
    for name, value, unit in rows:
        yield Figure(f"{level.stored:,} stored: {name}", value, unit, None, level.run.conditions)


def _memory(bench: Bench, bed: Testbed, run: Run) -> list[Figure]:
    """How much each worker's process grows while it is given events again."""
    figures = []
    trails = [[entry.event for entry in bed.aws.audit.trail(order.order_id)] for order in run.orders]
    for number, service in enumerate(WORKERS):
        bench.advance(0.6 + 0.1 * number, f"memory of {service}")
        events = [trail[SHARE_OF_WORKER[service]] for trail in trails]
        with bed.watch() as watch, bed.running(bed.commands(service)):
            growth = _growth(bed, service, events, bench.sized(20_000, 400))
        figures.append(_memory_figure(service, growth, bench.sized(20_000, 400), watch.conditions))
    return figures


def _memory_figure(service: str, growth: float, count: int, conditions: Conditions) -> Figure:
    return Figure(f"memory of {service}: growth over {count:,} events", growth, "MiB", at_most(5), conditions)


def _growth(bed: Testbed, service: str, events: Sequence[Event], count: int) -> float:
    ((pid, _),) = children().items()
    texts = itertools.cycle([jsontext.dumps(event.to_json()) for event in events])
    sizes = []
    for _ in range(4):
        for sent in range(0, count // 4, 10):
            bed.bare.send(service, list(itertools.islice(texts, 10)))
            while sent % 200 == 0 and bed.bare.backlogs()[service] >= MAX_WAITING:
                time.sleep(0.05)
        while bed.bare.backlogs()[service]:
            time.sleep(0.05)
        sizes.append(resident_mib(pid))
    return sizes[-1] - sizes[0]


def _plot(levels: Sequence[Level]) -> Plot:
    rows = [
        Row(level.stored, {"keyed calls": level.keyed_ms, "scan of open orders": level.scan_ms}) for level in levels
    ]
    return Plot("growth", "Latency by stored orders", "stored orders", "ms", tuple(rows))
