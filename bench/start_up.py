"""How long a user waits for `make infra-up` and `make run-all`."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from bench.bed import START_SECONDS, Bed, Bench, bench_stack
from bench.original import WORKERS
from bench.results import Result, Row
from scripts.console import QUIET, CommandError
from scripts.infra.lifecycle import down, reset, up

TITLE = "Start-up"
NOTES = (
    "The first infra-up waits for the AWS provider: about 25 s for each new SQS queue, twice in a row. A quick run "
    "leaves it out.",
)


def measure(bench: Bench) -> Result:
    rows = []
    if not bench.quick:
        bench.say("the first infra-up")
        rows.append(("infra-up, first time", _first_infra_up()))
    bench.say("infra-up again")
    bench.restore()
    rows.append(("infra-up after infra-down", _seconds(lambda: up(bench.stack, {}, QUIET))))
    rows.append(("infra-up when all is up", _seconds(lambda: up(bench.stack, {}, QUIET))))
    down(bench.stack, QUIET)
    starts = []
    for number in range(bench.sized(5, 1)):
        bench.say(f"run-all, round {number + 1}")
        with bench.bed() as bed:
            starts.append(_run_all(bed))
    for name, seconds in zip(("the API answers", "all workers poll"), zip(*starts, strict=True), strict=True):
        rows.append((f"run-all until {name}", median(seconds)))
    return Result("start-up", TITLE, ("ShopFlow",), tuple(Row(name, "s", (value,)) for name, value in rows), NOTES)


def _first_infra_up() -> float:
    stack = bench_stack("bench-first")
    try:
        reset(stack, QUIET)
        return _seconds(lambda: up(stack, {}, QUIET))
    finally:
        reset(stack, QUIET)


def _run_all(bed: Bed) -> tuple[float, float]:
    """Seconds until the API answers, and until every worker says that it consumes."""
    started = time.monotonic()
    with bed.shopflow():
        api = time.monotonic() - started
        while bed.log.read_text().count("consuming with") < len(WORKERS):
            if time.monotonic() - started > START_SECONDS:
                raise CommandError(f"A worker does not start: see {bed.log}")
            time.sleep(0.02)
        return api, time.monotonic() - started


def _seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
