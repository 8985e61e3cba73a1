"""Part 7: `make infra-up` the first and the second time, and each service from exec to its first poll."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median

from bench.calls import read_calls
from bench.figures import Figure, Result, at_most
from bench.infra_up import bench_stack
from bench.processes import running_on
from bench.runner import QUIET, Bench, free_port_from
from bench.testbed import WORKERS, Testbed
from scripts.console import CommandError, last_line
from scripts.infra.lifecycle import down, reset
from scripts.infra.stack import ROOT, Stack
from scripts.services import ORDER, Command

TITLE = "Start-up"
FIRST = "bench-first"
PATIENCE_SECONDS = 30
POLL = "ReceiveMessage"
BARE = """
import sys, boto3
client = boto3.session.Session(region_name="us-east-1").client("sqs", endpoint_url=sys.argv[1])
client.receive_message(QueueUrl=sys.argv[2], WaitTimeSeconds=0)
"""
NOTES = (
    "infra-up: what `make infra-up` runs, on a stack of the benchmark's own. Most of the first time is the AWS "
    "provider's wait for new SQS queues, about 25 s each, twice in a row. Not measured in a quick run.",
    "A worker polls when its first ReceiveMessage begins, the Order Service when GET /health is answered. The bare "
    "program imports boto3, receives once from an empty queue and exits.",
)


def measure(bench: Bench) -> Result:
    figures = [] if bench.quick else [_first(bench)]
    bench.advance(0.5, "infra-up the second time")
    figures += _second(bench)
    with bench.testbed() as bed:
        for number, service in enumerate((ORDER, *WORKERS)):
            bench.advance(0.6 + 0.07 * number, f"starting {service}")
            seconds = _median(lambda service=service: _start(bed, service), bench.sized(5, 2))  # type: ignore[misc]
            figures.append(Figure(f"{service}: exec to polling", seconds, "s", at_most(1)))
        figures.append(Figure("a bare boto3 program", _median(lambda: _bare(bed), bench.sized(5, 2)), "s"))
    return Result("start-up", TITLE, tuple(figures), NOTES)


def _first(bench: Bench) -> Figure:
    stack = bench_stack(FIRST, free_port_from(bench.stack.port + 50))
    try:
        reset(stack, QUIET)
        return Figure("infra-up, first time", _infra_up(bench, stack), "s")
    finally:
        reset(stack, QUIET)


def _second(bench: Bench) -> Iterator[Figure]:
    """On the benchmark's own stack, whose emulator is down now."""
    try:
        yield Figure("infra-up after infra-down", _infra_up(bench, bench.stack), "s", at_most(15))
        yield Figure("infra-up again", _infra_up(bench, bench.stack), "s", at_most(15))
    finally:
        down(bench.stack, QUIET)


def _infra_up(bench: Bench, stack: Stack) -> float:
    with running_on(bench.cores.emulator):
        return _seconds(lambda: _run("-m", "bench.infra_up", stack.name, str(stack.port)))


def _start(bed: Testbed, service: str) -> float:
    """Seconds from exec until the service does what it is there for."""
    plain = bed.commands(service)
    commands = plain if service == ORDER else bed.logging_calls(plain)
    for log in bed.calls_folder.glob("*"):
        log.unlink()
    started = time.monotonic()
    with bed.running(commands):
        return time.monotonic() - started if service == ORDER else _first_poll(bed, commands) - started


def _first_poll(bed: Testbed, commands: list[Command]) -> float:
    deadline = time.monotonic() + PATIENCE_SECONDS
    label = commands[0].label
    while time.monotonic() < deadline:
        polls = [call for call in read_calls(bed.calls_folder).get(label, []) if call.operation == POLL]
        if polls:
            return polls[0].started
        time.sleep(0.02)
    raise CommandError(f"{label} does not poll: see {bed.folder / 'logs'}")


def _bare(bed: Testbed) -> float:
    queue_url = bed.config.resources.queue_urls[WORKERS[0]]
    return _seconds(lambda: _run("-c", BARE, str(bed.config.endpoint_url), queue_url))


def _run(*arguments: str) -> None:
    answer = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    if answer.returncode:
        raise CommandError(f"{' '.join(arguments[:2])} failed: {last_line(answer.stderr)}")


def _seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _median(measure_once: Callable[[], float], times: int) -> float:
    return median(measure_once() for _ in range(times))
