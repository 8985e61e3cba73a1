"""Part 2: orders a second from the first POST to the last end, and what the chain adds to the gateway's latency."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.bare import BareOrders
from bench.figures import (
    Conditions,
    Figure,
    Plot,
    Result,
    Row,
    Target,
    at_least,
    at_most,
    percentile,
    typical_ratio,
)
from bench.gateway import gateway_seconds
from bench.load import HttpClient, holding_back, place_orders
from bench.processes import children, cpu_seconds
from bench.runner import Bench
from bench.runs import finished
from bench.testbed import WORKERS, Testbed
from scripts.services import ORDER, Command
from shopflow.config import Config
from shopflow.domain.order import Order
from shopflow.domain.times import to_ms

TITLE = "Pipeline: from POST to COMPLETED"
CLIENTS = 16
MAX_WAITING = 1500
PAYMENT = "payment"
PAYMENT_THREADS = "8"
"""A batch of ten charges takes as long as its slowest, 0.8 s: so one thread charges about 13 orders a second."""
NOTES = (
    f"One process of each service, one consumer thread each; payment has {PAYMENT_THREADS} (CONSUMER_THREADS).",
    "The replay makes the same AWS calls in the same batches from as many processes and threads, and shares publishes "
    "as the API does: no HTTP, contracts, log or failure handling.",
    "Latencies are from the orders' own createdAt and notifiedAt; each order's own gateway latency is subtracted.",
    f"Clients wait while a queue holds {MAX_WAITING:,} messages: the emulator slows down with long ones.",
)


@dataclass(frozen=True, slots=True)
class Passage:
    """Orders through the chain: how many a second, and the CPU that each process took for one of them."""

    per_second: float
    conditions: Conditions
    cpu_ms_an_order: Mapping[str, float]
    overheads_ms: tuple[float, ...] = ()


def measure(bench: Bench) -> Result:
    pairs = bench.sized(2, 1)
    ours, bare = [], []
    for number in range(pairs):
        bench.advance(number / pairs, "ShopFlow")
        with bench.testbed() as bed:
            unloaded, passage = _shopflow(bench, bed)
            ours.append(passage)
        bench.advance((number + 0.6) / pairs, "bare replay")
        with bench.testbed() as bed:
            bare.append(_replay(bench, bed))
    figures = (*_figures(ours, bare), *_latencies(unloaded, ours[-1]), *_cpu(ours[-1], bare[-1]))
    facts = {f"cpu_ms_an_order.{name}": value for name, value in ours[-1].cpu_ms_an_order.items()}
    return Result("pipeline", TITLE, figures, NOTES, (_plot(ours[-1], bare[-1]),), facts)


def _shopflow(bench: Bench, bed: Testbed) -> tuple[Passage, Passage]:
    product_id = bed.product()
    with bed.running(_scaled(bed.commands(ORDER, *WORKERS))):
        with bed.watch() as watch:
            place = HttpClient(bed.address, product_id).place
            one_by_one = [finished(bed, [place()])[0] for _ in range(bench.sized(30, 5))]
        unloaded = Passage(0, watch.conditions, {}, _overheads(bed.config, one_by_one))
        count = bench.sized(2000, 100)
        clients = [HttpClient(bed.address, product_id).place for _ in range(CLIENTS)]
        with bed.watch() as watch:
            before = _cpu_by_service()
            load = place_orders(clients, count, holding_back(lambda: watch.backlog, MAX_WAITING))
            bed.wait_until_drained()
            used = _cpu_since(before, count)
        orders = finished(bed, load.order_ids)
    started, ended = min(order.created_at for order in orders), max(order.notified_at or 0 for order in orders)
    rate = len(orders) * 1000 / (ended - started)
    return unloaded, Passage(rate, watch.conditions, used, _overheads(bed.config, orders))


def _overheads(config: Config, orders: Sequence[Order]) -> tuple[float, ...]:
    def overhead(order: Order) -> float:
        took = (order.notified_at or 0) - order.created_at
        return took - gateway_seconds(config.gateway, order.order_id) * 1000

    return tuple(map(overhead, orders))


def _replay(bench: Bench, bed: Testbed) -> Passage:
    product_id = bed.product()
    count = bench.sized(2000, 100)
    with bed.running(_scaled(_bare_commands())):
        time.sleep(2)  # every worker polls
        place = BareOrders(bed.bare, product_id, as_often=True).place
        with bed.watch() as watch:
            before = _cpu_by_service()
            started = time.time()
            place_orders([place] * CLIENTS, count, holding_back(lambda: watch.backlog, MAX_WAITING))
            bed.wait_until_drained()
            used = _cpu_since(before, count)
    ended = max(to_ms(item["updatedAt"]["S"]) for item in bed.bare.all_orders()) / 1000
    return Passage(count / (ended - started), watch.conditions, used)


def _bare_commands() -> list[Command]:
    argv = (sys.executable, "-u", "-m", "bench.bare_pipeline")
    return [Command(service, service, (*argv, service)) for service in WORKERS]


def _scaled(commands: Sequence[Command]) -> list[Command]:
    threads = {"CONSUMER_THREADS": PAYMENT_THREADS}
    return [replace(one, env={**one.env, **threads}) if one.service == PAYMENT else one for one in commands]


def _cpu_by_service() -> dict[str, float]:
    """CPU seconds of the services that run, by the last word of their command lines: ``api``, ``inventory`` …"""
    return {line.rpartition(" ")[2]: cpu_seconds(pid) for pid, line in children().items()}


def _cpu_since(before: Mapping[str, float], orders: int) -> dict[str, float]:
    return {name: (seconds - before[name]) * 1000 / orders for name, seconds in _cpu_by_service().items()}


def _figures(ours: Sequence[Passage], bare: Sequence[Passage]) -> list[Figure]:
    ratio = typical_ratio([one.per_second for one in ours], [one.per_second for one in bare])
    rate, rate_of_bare = (median(one.per_second for one in passages) for passages in (ours, bare))
    return [
        Figure("throughput / bare replay's", ratio, "x", at_least(0.8), ours[-1].conditions),
        Figure("throughput", rate, "orders/s", at_least(80), ours[-1].conditions),
        Figure("throughput of the bare replay", rate_of_bare, "orders/s", None, bare[-1].conditions),
    ]


def _latencies(unloaded: Passage, loaded: Passage) -> list[Figure]:
    def figure(name: str, passage: Passage, percent: int, target: Target | None = None) -> Figure:
        value = percentile(passage.overheads_ms, percent)
        return Figure(f"chain overhead {name}, p{percent}", value, "ms", target, passage.conditions)

    return [
        figure("unloaded", unloaded, 50, at_most(300)),
        figure("unloaded", unloaded, 95),
        figure("at full load", loaded, 50),
        figure("at full load", loaded, 95),
    ]


def _cpu(ours: Passage, bare: Passage) -> list[Figure]:
    return [
        Figure(f"CPU of {prefix}{name}", ms, "ms an order", None, passage.conditions)
        for prefix, passage in (("", ours), ("the bare ", bare))
        for name, ms in passage.cpu_ms_an_order.items()
    ]


def _plot(ours: Passage, bare: Passage) -> Plot:
    names = ("api", *WORKERS)
    rows = [
        Row(name, {"ShopFlow": ours.cpu_ms_an_order.get(name, 0), "bare": bare.cpu_ms_an_order.get(name, 0)})
        for name in names
    ]
    return Plot("pipeline-cpu", "CPU an order, by process", "", "ms", tuple(rows))
