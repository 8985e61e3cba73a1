"""Kill a real process (SIGKILL) before and after every call that it makes, and see that nothing is lost or done twice.

Each scenario first runs undisturbed, to list the calls of each process to AWS, to the gateway and to the mailer. Then
it runs twice for each of them: the process dies before the call, or after it with the answer lost. It is started again,
and when nothing is left to do the invariants are checked. Without the relay, a death between a commit and its
publication may leave an order open; nothing else may.

Exit code 0: every point was reached, and every invariant holds after each. 1: not so.
"""

from __future__ import annotations

import argparse
import json
import queue
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby
from typing import Any

from scripts.console import FAILED, OK, Progress, run_command
from scripts.infra.stack import write_atomically
from scripts.services import ORDER, Command, LogFiles, Services, service_commands
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import load_catalog
from shopflow.config import load_config
from shopflow.domain.order import Order
from shopflow.domain.stock import Product
from shopflow.invariants import Breach, HeldUnits, check_order
from shopflow.ports import Charge
from tests.addresses import address, answers, free_port
from tests.faults.checks import check_mails, check_publications
from tests.faults.crash_process import AFTER, BEFORE
from tests.faults.scenarios import DECLINED, HAPPY, MULTI_ITEM, OUT_OF_STOCK, Scenario
from tests.live import Live, sqs_client
from tests.stack import AppliedStack, applied_stack
from tests.waiting import eventually

RECORDINGS = 3
MAX_TRIES = 6
"""Tries to reach a point: two messages that came one by one may come together the next time."""
PATIENCE_SECONDS = 90
QUIET_LOOKS = 3
"""In a row. One look at all queues can miss a message that moves from one to the other."""
QUICK = {
    "PAYMENT_LATENCY_MIN_MS": "100",
    "PAYMENT_LATENCY_MAX_MS": "100",
    "RELAY_INTERVAL_SECONDS": "0.25",
    "SQS_WAIT_SECONDS": "1",
    "SQS_VISIBILITY_SECONDS": "5",
    "LOG_FORMAT": "json",
}
COMMITS, PUBLISH = ("BatchExecuteStatement", "TransactWriteItems"), "PublishBatch"
POLLS = {"consumer": "ReceiveMessage", "relay": "Scan"}
"""The call that each role repeats while it has nothing to do."""
Journal = Sequence[Mapping[str, Any]]
REFUSED = {
    "happy, order.created refused": "order.created",
    "declined, inventory.released refused": "inventory.released",
}
"""An event that the topic accepts from nobody but the relay, by scenario."""
SCENARIOS = (
    *(HAPPY, OUT_OF_STOCK, MULTI_ITEM, DECLINED),
    *(replace(one, name=name, needs_relay=True) for one, name in zip((HAPPY, DECLINED), REFUSED, strict=True)),
)


@dataclass(frozen=True, slots=True)
class Point:
    """A process dies before or after the ``number``-th counted call of one of its roles."""

    scenario: Scenario
    relay: bool
    label: str
    role: str
    number: int
    call: str
    when: str

    @property
    def case(self) -> str:
        return f"{self.scenario.name}, {'with' if self.relay else 'without'} relay"

    def __str__(self) -> str:
        return f"{self.case}: {self.label} dies {self.when} call {self.number} of {self.role}, {self.call}"


@dataclass(frozen=True, slots=True)
class Result:
    """``reached``: the process died where it should."""

    journal: Journal
    breaches: Sequence[Breach]
    reached: bool = True


class Lane:
    """A local AWS with services of its own, which play one scenario after another."""

    def __init__(self, stack: AppliedStack, *, relay: bool) -> None:
        self._folder = stack.stack.folder / "crash-matrix"
        self._folder.mkdir(parents=True)
        switches = {"RELAY": "on" if relay else "off", "CRASH_FOLDER": str(self._folder)}
        env = {**stack.env, **QUICK, **address(free_port()), **switches}
        config = load_config(env)
        services = Services(_commands(), env, LogFiles(self._folder / "logs"))
        self._live = Live(config, connect(config, PATIENT), services, sqs_client(config))
        self._relay = relay
        self._run = 0
        self._deaths: list[str] = []
        self._point: Point | None = None

    @contextmanager
    def running(self) -> Iterator[Lane]:
        stop = threading.Event()
        supervisor = threading.Thread(target=self._restart_dead, args=(stop,))
        with self._live.services as services:
            services.start()
            supervisor.start()
            try:
                self._wait_until_idle()
                yield self
            finally:
                stop.set()
                supervisor.join()

    def play(self, scenario: Scenario, point: Point | None = None) -> Result:
        """One run of the scenario, with a death at ``point``, on a product and orders of its own."""
        try:
            return self._play(scenario, point)
        except AssertionError as error:  # of `eventually`
            return Result([], [Breach(1, scenario.name, f"does not come to rest: {error}")], reached=False)

    def _play(self, scenario: Scenario, point: Point | None) -> Result:
        self._run += 1
        self._deaths.clear()
        self._point = point
        products = {name: f"{name}-{self._run}" for name in scenario.stock}
        for name, units in scenario.stock.items():
            self._live.aws.products.put(Product(products[name], f"Name of {name}", Decimal("9.99"), units, units))
        self._plan(scenario, point)
        [(wanted, payment_method)] = scenario.requests
        items = {products[name]: units for name, units in wanted.items()}
        order_id = self._live.place(items, payment_method, patient=True)
        eventually(lambda: all(self._is_quiet(order_id) for _ in range(QUIET_LOOKS)), bool, PATIENCE_SECONDS)
        self._wait_until_idle()
        [order] = self._live.read([order_id])
        journal = self._journal()
        may_be_open = self._may_be_open(order, journal)
        found = [one for one in self._breaches(order, products, journal) if not (one.may_pass and may_be_open)]
        if not may_be_open and [order.status] != list(scenario.ends):
            found.append(Breach(1, order_id, f"ends as {order.status}"))
        return Result(journal, found, reached=point is None or self._killed() is not None)

    def _plan(self, scenario: Scenario, point: Point | None) -> None:
        (self._folder / "fired").unlink(missing_ok=True)
        plan: dict[str, Any] = {"run": self._run, "refuse": REFUSED.get(scenario.name)}
        if point:
            plan["die"] = [point.label, point.role, point.number, point.when]
        write_atomically(self._folder / "plan.json", json.dumps(plan))
        if point and (point.call, point.number, point.when) == (POLLS.get(point.role), 1, BEFORE):
            eventually(self._killed, bool)  # otherwise the poll in progress may bring the order, and be the first call

    def _is_quiet(self, order_id: str) -> bool:
        [order] = self._live.read([order_id])
        depths = self._live.findings().queues.values()
        is_empty = all(depth is not None and not depth.waiting and not depth.in_flight for depth in depths)
        return is_empty and not (self._relay and order.opened_at)

    def _wait_until_idle(self) -> None:
        """Wait until all processes only poll, those too that died in this run and were started again."""
        eventually(lambda: all(map(self._is_idle, self._live.services.labels)), bool, PATIENCE_SECONDS)

    def _is_idle(self, label: str) -> bool:
        if label == ORDER and not answers(self._live.url):
            return False
        lines = [line for line in self._journal() if line["label"] == label and line["role"] in POLLS]
        if lines:
            return bool(lines[-1]["pid"] != self._killed() and lines[-1]["call"] == POLLS[lines[-1]["role"]])
        died = self._point is not None and self._point.label == label and self._killed() is not None
        return (self._run > 0 and not died) or (label == ORDER and not self._relay)

    def _may_be_open(self, order: Order, journal: Journal) -> bool:
        """Without a relay, when a process died between a commit and its publication: the event is in the outbox."""
        calls = [line["call"] for line in journal if line["pid"] == self._killed()]
        last = next((call for call in reversed(calls) if call in (*COMMITS, PUBLISH)), None)
        is_unpublished = order.outbox is not None and order.outbox.event_id not in _published(journal)
        return not self._relay and last in COMMITS and is_unpublished

    def _breaches(self, order: Order, products: Mapping[str, str], journal: Journal) -> Iterator[Breach]:
        charged = [line["charged"] for line in journal if "charged" in line]
        senders = {line["pid"] for line in journal if line["label"] == "notification"}
        trail = [entry.event for entry in self._live.aws.audit.trail(order.order_id)]
        charges = list({Charge(transaction_id, Decimal(amount)) for _, transaction_id, amount in charged})
        yield from check_order(order, trail, charges)
        excused = 1 if len(senders) > 1 else 0  # the sender may have died before it recorded the mail
        yield from check_mails(order, sum("mailed" in line for line in journal), excused)
        for key in {key for key, *_ in charged} - {order.order_id}:
            yield Breach(3, key, "charged under a key that is no order's")
        reserved = HeldUnits()
        reserved.add(order)
        yield from reserved.check(list(self._live.aws.products.read(list(products.values())).values()))
        published = _published(journal)
        twice = sorted(event_id for event_id, times in published.items() if times > 1)
        yield from check_publications(published, dict.fromkeys(twice[:1], 1))  # one fault explains one publication
        yield from self._live.breaches_of_dead_letters({})
        expected = [f"{self._point.label} was killed by SIGKILL"] if self._point and self._killed() else []
        for death in (Counter(self._deaths) - Counter(expected)).elements():
            yield Breach(1, "a process", f"ended by itself: {death}")

    def _journal(self) -> Journal:
        file = self._folder / f"{self._run}.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def _killed(self) -> int | None:
        """The id of the process that died as planned, in this run."""
        file = self._folder / "fired"
        return int(file.read_text() or 0) if file.exists() else None

    def _restart_dead(self, stop: threading.Event) -> None:
        while not stop.wait(0.05):
            for ended in self._live.services.ended():
                self._deaths.append(f"{ended.label} {ended.cause}")
                self._live.services.start(ended.label)


def _commands() -> list[Command]:
    """The services, each started by `tests.faults.crash_process`."""
    launcher = (sys.executable, "-u", "-m", "tests.faults.crash_process")
    return [replace(one, argv=(*launcher, one.label, *one.argv[3:])) for one in service_commands(load_catalog())]


def _published(journal: Journal) -> Counter[str]:
    """How often each event was published, by id."""
    return Counter(event_id for line in journal for event_id in line.get("published", ()))


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.faults.crash_matrix_live", None, __doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [scenario.name for scenario in SCENARIOS]
    only = f"only this one (may be repeated): {'; '.join(names)}"
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help=only)
    parser.add_argument("--lanes", type=int, default=8, help="runs side by side, six processes each (default: 8)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th point (default: 1)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends this ends its processes, too
    chosen = [scenario for scenario in SCENARIOS if scenario.name in (options.scenario or names)]
    started, say = time.monotonic(), Progress().say
    results: list[tuple[Point, Result, float]] = []
    for relay in (True, False):
        results += play_all([one for one in chosen if relay or not one.needs_relay], relay, options)
    for case, group in groupby(results, lambda one: one[0].case):
        done = list(group)
        reached = sum(result.reached for _, result, _ in done)
        breaches = sum(len(result.breaches) for _, result, _ in done)
        slowest = max(seconds for _, _, seconds in done)
        say(f"{len(done):4} points: {case}, {reached} reached, {breaches} breaches, slowest {slowest:.0f} s")
    per_process = Counter(point.label for point, _, _ in results)
    say("by process: " + ", ".join(f"{label} {count}" for label, count in sorted(per_process.items())))
    good = sum(result.reached and not result.breaches for _, result, _ in results)
    say(f"{good} of {len(results)} points hold in {time.monotonic() - started:.0f} s")
    return OK if good == len(results) > 0 else FAILED


def play_all(chosen: Sequence[Scenario], relay: bool, options: argparse.Namespace) -> list[tuple[Point, Result, float]]:
    """Every point of the chosen scenarios, with its result and the seconds that it took, on lanes side by side."""
    progress = Progress()
    idle: queue.SimpleQueue[Lane] = queue.SimpleQueue()

    def on_a_lane(scenario: Scenario, point: Point | None = None) -> Result:
        lane = idle.get()
        try:
            return lane.play(scenario, point)
        finally:
            idle.put(lane)

    def at(point: Point) -> tuple[Point, Result, float]:
        started = time.monotonic()
        tries = (on_a_lane(point.scenario, point) for _ in range(MAX_TRIES))
        result = next((one for one in tries if one.reached or one.breaches), Result([], [], reached=False))
        for trouble in [*map(str, result.breaches), *([] if result.reached else ["not reached"])]:
            progress.warn(f"{point}: {trouble}")
        return point, result, time.monotonic() - started

    with ExitStack() as running, ThreadPoolExecutor(options.lanes) as pool:
        with progress.step(f"Starting {options.lanes} sets of services"):
            for _ in range(options.lanes):
                stack = running.enter_context(applied_stack())
                idle.put(running.enter_context(Lane(stack, relay=relay).running()))
        with progress.step(f"Recording {len(chosen)} scenarios"):
            recorded = list(pool.map(lambda scenario: (scenario, on_a_lane(scenario)), [*chosen] * RECORDINGS))
        calls: defaultdict[str, dict[tuple[str, str, int], str]] = defaultdict(dict)
        for scenario, result in recorded:
            assert not result.breaches, f"{scenario.name}, undisturbed: {result.breaches[0]}"
            calls[scenario.name] |= {
                (line["label"], line["role"], line["number"]): line["call"] for line in result.journal
            }
        points = [
            Point(scenario, relay, *where, call, when)
            for scenario in chosen
            for where, call in sorted(calls[scenario.name].items())
            for when in (BEFORE, AFTER)
        ]
        with progress.step(f"Killing a process at each of {len(points[:: options.every])} points"):
            return list(pool.map(at, points[:: options.every]))


if __name__ == "__main__":
    sys.exit(run_command(main))
