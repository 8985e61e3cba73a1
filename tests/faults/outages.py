"""Dependencies that go away under load, and come back: `python -m tests.faults.outages --help`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scripts.console import FAILED, OK, Progress, run_command
from scripts.infra.emulator import Embedded
from scripts.services import Command, LogFiles, Services
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import Aws, connect
from shopflow.catalog import load_catalog
from shopflow.invariants import Breach, HeldUnits, charged_as_expected, check_order
from tests.faults.lane_verdict import breaches_of_dead_letters
from tests.faults.lanes import address, answers, clone, free_port
from tests.faults.outage_load import Load, missed_by, under_load
from tests.faults.outage_process import DONE, GATEWAY_DOWN, TOPIC_FAILS
from tests.live import Live, eventually, sqs_client
from tests.stack import AppliedStack, applied_stack
from workers.gateway import SimulatedGateway

ABOUT = """\
Take a dependency away under a load of orders, bring it back, and see that every order is finished in time.

The payment gateway is down for 60 s; the local AWS is frozen for 20 s (SIGSTOP); SNS fails every second publish for
60 s. The services are real processes with the timings of production: a visibility timeout of 60 s and a relay that
sweeps every 30 s. Clients repeat each order under its idempotency key, whatever they were answered.

Exit code 0: no order lost or doubled, no dead letter, all finished within the bound; 1: something was missed.
"""
LEAD_SECONDS = 2
"""Of load before and after the outage."""
UNITS = 100_000


@dataclass(frozen=True, slots=True)
class Timing:
    """``relay_seconds``: how long an order may wait for the relay's next look at it, while its age is small."""

    visibility_seconds: int
    relay_seconds: int
    env: Mapping[str, str]


PRODUCTION = Timing(60, 30, {"SQS_WAIT_SECONDS": "2", "RELAY_INTERVAL_SECONDS": "30"})
QUICK = Timing(
    5,
    6,
    {
        "SQS_WAIT_SECONDS": "1",
        "RELAY_INTERVAL_SECONDS": "1",
        "CRASH_CLOCK_BEHIND_MS": "25000",
        "PAYMENT_LATENCY_MIN_MS": "20",
        "PAYMENT_LATENCY_MAX_MS": "50",
    },
)
"""The relay's first look is at an age of 30 s: at orders that are dated 25 s back it comes after 5 s, or one more."""


@dataclass(frozen=True, slots=True)
class Result:
    """``finished_seconds`` after the dependency was back, ``bound_seconds`` at most. ``missed``: what went wrong."""

    outage: str
    seconds: float
    load: Load
    effect: str
    finished_seconds: float
    bound_seconds: float
    missed: Sequence[str]


@dataclass(frozen=True, slots=True)
class Shop:
    """Five services whose dependencies can be taken away."""

    live: Live
    aws: Aws
    stack: AppliedStack
    folder: Path
    timing: Timing


@contextmanager
def shop(stack: AppliedStack, timing: Timing) -> Iterator[Shop]:
    """Services of its own on resources of its own."""
    folder = stack.stack.folder / "outages"
    shutil.rmtree(folder, ignore_errors=True)
    lane = clone(stack.config, {**stack.env, **address(free_port())}, f"outages-{uuid4().hex[:6]}")
    visibility = {"SQS_VISIBILITY_SECONDS": str(timing.visibility_seconds), "LOG_FORMAT": "json"}
    env = {**lane.env, **timing.env, **visibility, "OUTAGE_FOLDER": str(folder)}
    config = lane.config
    with Services(_commands(), env, LogFiles(folder / "logs")) as services:
        services.start()
        aws = connect(config, PATIENT)
        live = Live(config, aws, services, sqs_client(config))
        eventually(lambda: answers(live.url), bool)
        yield Shop(live, aws, stack, folder, timing)


@contextmanager
def gateway_down(shop: Shop) -> Iterator[None]:
    with _file(shop.folder / GATEWAY_DOWN):
        yield


@contextmanager
def topic_fails(shop: Shop) -> Iterator[None]:
    with _file(shop.folder / TOPIC_FAILS):
        yield


@contextmanager
def aws_frozen(shop: Shop) -> Iterator[None]:
    """Nothing that the local AWS is asked is answered; what it was asked meanwhile it does afterwards."""
    process = Embedded(shop.stack.stack).process
    assert process
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


OUTAGES: Mapping[str, Callable[[Shop], AbstractContextManager[None]]] = {
    "gateway down": gateway_down,
    "AWS frozen": aws_frozen,
    "SNS fails half": topic_fails,
}
FULL_SECONDS = {"gateway down": 60, "AWS frozen": 20, "SNS fails half": 60}


def suffer(shop: Shop, name: str, seconds: float) -> Result:
    """Take the dependency ``name`` away for so long under load, and wait until all is done."""
    product = shop.live.product(UNITS)
    alone = _alone(shop, product)
    with under_load(shop.live.url, product) as load:
        time.sleep(LEAD_SECONDS)
        with OUTAGES[name](shop):
            time.sleep(seconds)
        back = time.monotonic()
        time.sleep(LEAD_SECONDS)
    placed = load.placed
    chain = alone + len(placed) / 10 * shop.live.config.gateway.latency_ms[1] / 1000
    bound = shop.timing.visibility_seconds + 2 * shop.timing.relay_seconds + chain
    finished = _finished(shop, placed, back, bound)
    missed = [*missed_by(load), *map(str, breaches_of(shop, placed))]
    if finished > bound:
        missed.append(f"finished {finished:.1f} s after it was back, later than {bound:.1f} s")
    effect = _effect(shop, name)
    if not effect and name != "AWS frozen":
        missed.append("the outage reached nobody")
    return Result(name, seconds, load, effect, finished, bound, missed)


def breaches_of(shop: Shop, placed: Sequence[str]) -> Iterator[Breach]:
    """The breaches of all orders of the shop, those of earlier outages too; and whether those ``placed`` are there."""
    gateway, deferred, found = SimulatedGateway(shop.live.config.gateway), HeldUnits(), set()
    for order in shop.aws.orders.all():
        found.add(order.order_id)
        deferred.add(order)
        trail = [entry.event for entry in shop.aws.audit.trail(order.order_id)]
        charges = charged_as_expected(order, gateway.transaction_id(order.order_id))
        yield from check_order(order, trail, charges)
    own = [product for product in shop.aws.products.all() if product.received == UNITS]
    yield from deferred.check(own)
    for order_id in set(placed) - found:
        yield Breach(1, order_id, "was accepted, but is not there")
    yield from breaches_of_dead_letters(shop.live.sqs, shop.live.config, {})


def _alone(shop: Shop, product: str) -> float:
    """Seconds that one undisturbed order takes from POST to its end."""
    started = time.monotonic()
    shop.live.closed([shop.live.place({product: 1})])
    return time.monotonic() - started


def _finished(shop: Shop, order_ids: Sequence[str], back: float, bound_seconds: float) -> float:
    """Seconds from ``back`` until all orders are closed with whole trails and no message is left."""
    patience = bound_seconds + 60

    def open_orders() -> int:
        chunks = [order_ids[start : start + 100] for start in range(0, len(order_ids), 100)]
        return sum(bool(order.opened_at) for chunk in chunks for order in shop.live.read(chunk))

    eventually(open_orders, lambda count: count == 0, patience)
    shop.live.queues_empty(patience)
    return time.monotonic() - back


def _effect(shop: Shop, name: str) -> str:
    """What became of the calls to the dependency meanwhile."""
    log = shop.folder / {"gateway down": f"{GATEWAY_DOWN}.log", "SNS fails half": f"{TOPIC_FAILS}.log"}.get(
        name, "none"
    )
    calls = Counter(log.read_text().splitlines()) if log.exists() else Counter()
    failed = calls.total() - calls[DONE]
    return f"{failed} of {calls.total()} calls failed" if calls else ""


def report(results: Sequence[Result]) -> int:
    table = Table(title="Outages", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    columns = (
        "",
        "outage",
        "seconds",
        "orders",
        "answered 503",
        "slowest 503",
        "slowest answer",
        "finished",
        "bound",
        "",
    )
    for name in columns:
        table.add_column(name, justify="left" if name in ("", "outage") else "right")
    for result in results:
        load = result.load
        times = [load.slowest_503, load.slowest, result.finished_seconds, result.bound_seconds]
        figures = [f"{result.seconds:.0f}", str(len(load.order_ids)), str(load.answers[503])]
        mark = "[red]✘[/]" if result.missed else "[green]✔[/]"
        table.add_row(mark, result.outage, *figures, *(f"{value:.1f} s" for value in times), result.effect)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        "finished: after the dependency was back. bound: visibility timeout + two relay sweeps + the chain's own time"
    )
    for result in results:
        for miss in result.missed:
            console.print(f"{result.outage}: {miss}", style="red", markup=False)
    return FAILED if any(result.missed for result in results) else OK


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.faults.outages", None, ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=OUTAGES, help="only this one (may be given again)")
    chosen = parser.parse_args().only or list(OUTAGES)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends this ends its processes too
    progress = Progress()
    results = []
    with applied_stack(progress) as stack, shop(stack, PRODUCTION) as open_shop:
        for name in chosen:
            with progress.step(f"{name} for {FULL_SECONDS[name]} s, and what comes after"):
                results.append(suffer(open_shop, name, FULL_SECONDS[name]))
    return report(results)


@contextmanager
def _file(path: Path) -> Iterator[None]:
    path.touch()
    try:
        yield
    finally:
        path.unlink()


def _commands() -> list[Command]:
    modules = {name: ("workers", name) for name in load_catalog().services} | {"order": ("api",)}
    python = (sys.executable, "-u", "-m", "tests.faults.outage_process")
    return [Command(name, name, (*python, *module)) for name, module in modules.items()]


if __name__ == "__main__":
    sys.exit(run_command(main))
