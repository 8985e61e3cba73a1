"""One lane of the crash matrix on real processes: plays a scenario with a process that dies at one call, and judges."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import requests

from scripts.infra.stack import write_atomically
from scripts.services import ORDER, Command, LogFiles, Services
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import load_catalog
from shopflow.domain.order import Order, Status
from shopflow.domain.stock import Product
from shopflow.invariants import Breach
from tests.faults.crash_points import Call, LiveScenario, Point
from tests.faults.crash_process import BEFORE
from tests.faults.lane_verdict import Seen, breaches_of, breaches_of_dead_letters
from tests.faults.lanes import Lane, address, answers
from tests.faults.scenarios import Scenario
from tests.live import sqs_client

CATALOG = load_catalog()
QUICK = {
    "PAYMENT_LATENCY_MIN_MS": "100",
    "PAYMENT_LATENCY_MAX_MS": "100",
    "RELAY_INTERVAL_SECONDS": "0.25",
    "SQS_WAIT_SECONDS": "1",
    "SQS_VISIBILITY_SECONDS": "5",
    "LOG_FORMAT": "json",
    "CRASH_CLOCK_BEHIND_MS": "24000",
}
"""The relay looks at an order 6 s after it was placed, not 30."""
COMMITS, PUBLISH = ("PutItem", "UpdateItem", "TransactWriteItems"), "PublishBatch"
RIVAL, RIVALS = "rival", "inventory"
POLLS = {"consumer": "ReceiveMessage", "relay": "Scan"}
"""What each role that has nothing to do does again and again."""
CALLS = {"orders.commit": "TransactWriteItems"}
"""How a port's method that a scenario names is called where only AWS's calls are seen."""
DEPTHS: Sequence[Literal["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]] = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
)
PATIENCE_SECONDS = 90
POLL_SECONDS = 0.1
QUIET_LOOKS = 3
"""So often in a row the queues must be seen empty: between a commit and its publication nothing is in them either."""


@dataclass(frozen=True, slots=True)
class Played:
    """``reached``: the process died where it should. ``left_open``: orders that may be. ``calls``: all counted ones."""

    reached: bool
    left_open: int
    calls: Sequence[Call]
    breaches: Sequence[Breach]


class CrashLane:
    """Services of its own on a lane of its own, for as long as the ``with`` block lasts."""

    def __init__(self, lane: Lane, folder: Path, port: int, *, relay: bool) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        switch = {"RELAY": "on" if relay else "off", "CRASH_FOLDER": str(folder)}
        self._lane = Lane(lane.name, {**lane.env, **QUICK, **address(port), **switch})
        self._relay = relay
        self._folder = folder
        self._url = f"http://127.0.0.1:{port}"
        self._config = self._lane.config
        self._aws = connect(self._config, PATIENT)
        self._sqs = sqs_client(self._config)
        self._services = Services(_commands(), self._lane.env, LogFiles(folder / "logs"))
        self._run = 0
        self._deaths: list[str] = []
        self._point: Point | None = None

    def __enter__(self) -> Self:
        self._close_gate(RIVAL, "ReceiveMessage")
        self._services.start()
        self._until(lambda: all(map(self._is_idle, self._services.labels)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for label in self._services.labels:
            self._open_gate(label)
        self._services.stop()

    def play(self, live: LiveScenario, point: Point | None = None) -> Played:
        """One run of the scenario, with a death at ``point``, on products and orders of its own."""
        try:
            return self._play(live, point)
        except TimeoutError as error:
            return Played(False, 0, [], [Breach(1, live.name, f"stands still: {error}")])

    def _play(self, live: LiveScenario, point: Point | None) -> Played:
        self._run += 1
        self._deaths.clear()
        self._point = point
        names = {name: f"{name}-{self._lane.name}-{self._run}" for name in live.scenario.stock}
        for name, units in live.scenario.stock.items():
            self._aws.products.seed(Product(names[name], f"Name of {name}", Decimal("9.99"), units, units))
        self._arm(live, point)
        accepted = self._place_all(live.scenario, names)
        quiet = self._rest(accepted)
        self._disarm()
        reached = point is None or self._fired()
        journal = self._journal()
        seen = Seen(self._orders(accepted), list(names.values()), journal, self._died_before_publishing(journal))
        found = [*breaches_of(self._aws, seen), *breaches_of_dead_letters(self._sqs, self._config, {})]
        found += self._of_processes(point if reached else None)
        if not quiet:
            found.append(Breach(1, live.name, "does not come to rest"))
        ends = Counter(order.status for order in seen.orders)
        if not seen.stuck and ends != Counter(live.scenario.ends):
            found.append(Breach(1, live.name, f"ends as {dict(ends)}"))
        return Played(reached, len(seen.stuck), [_call(line) for line in journal], found)

    def _arm(self, live: LiveScenario, point: Point | None) -> None:
        (self._folder / "fired").unlink(missing_ok=True)
        plan: dict[str, Any] = {"run": self._run, "refuse": live.refuse}
        if point:
            plan["die"] = [point.call.label, point.call.role, point.call.number, point.when]
        if live.scenario.rival_comes_at:
            self._close_gate(RIVALS, CALLS[live.scenario.rival_comes_at[1]])
        write_atomically(self._folder / "plan.json", json.dumps(plan))
        if point and point.call.polls and point.call.number == 1 and point.when == BEFORE and point.call.label != RIVAL:
            self._until(self._fired)  # else the poll that is under way might bring the order, and be the first call

    def _disarm(self) -> None:
        """Have all processes as they were before the run: idle, and back if they died."""
        self._open_gate(RIVALS)
        self._close_gate(RIVAL, "ReceiveMessage")
        self._until(lambda: all(map(self._is_idle, self._services.labels)))

    def _is_idle(self, label: str) -> bool:
        """Whether the process, started again if it died in this run, waits for messages: its next poll is no news."""
        if label == RIVAL:
            return self._deferred(RIVAL)
        if label == ORDER and not answers(self._url):
            return False
        lines = [line for line in self._journal() if line["label"] == label and line["role"] in POLLS]
        if not lines:
            started_anew = self._run == 0 or (
                self._fired() and self._point is not None and self._point.call.label == label
            )
            return not started_anew or (label == ORDER and not self._relay)
        last = lines[-1]
        return bool(last["pid"] != self._dead() and last["call"] == POLLS[last["role"]])

    def _place_all(self, scenario: Scenario, names: Mapping[str, str]) -> list[str]:
        kept_back = 1 if scenario.rival_comes_at else 0
        requests_of = list(enumerate(scenario.requests))
        accepted = [self._place(number, *one, names) for number, one in requests_of[: len(requests_of) - kept_back]]
        if kept_back:
            self._until(lambda: self._deferred(RIVALS) or self._fired())
            number, one = requests_of[-1]
            accepted.append(self._place(number, *one, names))
            self._open_gate(RIVAL)
            self._until(lambda: self._orders(accepted[-1:])[0].status is not Status.PENDING or self._fired())
            self._open_gate(RIVALS)
        return accepted

    def _place(self, number: int, wanted: Mapping[str, int], payment_method: str, names: Mapping[str, str]) -> str:
        """As a client that tries again under its key until it is answered."""
        items = [{"productId": names[name], "quantity": units} for name, units in wanted.items()]
        body = {"customerId": "CUST-CRASH", "items": items, "paymentMethod": payment_method}
        headers = {"Idempotency-Key": f"{self._lane.name}-{self._relay}-{self._run}-{number}"}
        answered: list[requests.Response] = []

        def attempt() -> bool:
            try:
                answer = requests.post(f"{self._url}/orders", json=body, headers=headers, timeout=10)
            except requests.RequestException:
                return False
            answered.append(answer)
            return answer.status_code == 201

        self._until(attempt)
        order_id: str = answered[-1].json()["orderId"]
        return order_id

    def _rest(self, order_ids: Sequence[str]) -> bool:
        """Wait until every order is closed, if there is a relay, and no message is left. Whether that came in time."""
        deadline, looks = time.monotonic() + PATIENCE_SECONDS, 0
        while looks < QUIET_LOOKS and time.monotonic() < deadline:
            self._tend()
            closed = not self._relay or not any(order.opened_at for order in self._orders(order_ids))
            looks = looks + 1 if closed and self._drained() else 0
            time.sleep(POLL_SECONDS)
        return looks == QUIET_LOOKS

    def _drained(self) -> bool:
        return all(depth == 0 for depth in map(self._depth, self._config.resources.queue_urls.values()))

    def _depth(self, url: str) -> int:
        found = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(DEPTHS))["Attributes"]
        return sum(map(int, found.values()))

    def _orders(self, order_ids: Sequence[str]) -> list[Order]:
        return list(self._aws.orders.read(order_ids).values())

    def _died_before_publishing(self, journal: Sequence[Mapping[str, Any]]) -> bool:
        """Whether there is no relay, and the process that died had committed, but not published."""
        if self._relay:
            return False
        calls = [line["call"] for line in journal if line["pid"] == self._dead()]
        last = next((call for call in reversed(calls) if call in (*COMMITS, PUBLISH)), None)
        return last in COMMITS

    def _of_processes(self, point: Point | None) -> Iterator[Breach]:
        """No process ends but the one that is killed at ``point``."""
        expected = [f"{point.call.label} was killed by SIGKILL"] if point else []
        for death in (Counter(self._deaths) - Counter(expected)).elements():
            yield Breach(1, self._lane.name, f"a process ended by itself: {death}")

    def _journal(self) -> list[Mapping[str, Any]]:
        file = self._folder / f"{self._run}.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def _dead(self) -> int | None:
        """The id of the process that died as planned, in this run."""
        try:
            return int((self._folder / "fired").read_text() or 0)
        except FileNotFoundError:
            return None

    def _fired(self) -> bool:
        return (self._folder / "fired").exists()

    def _deferred(self, label: str) -> bool:
        return (self._folder / f"held-{label}").exists()

    def _close_gate(self, label: str, call: str) -> None:
        write_atomically(self._folder / f"gate-{label}", call)

    def _open_gate(self, label: str) -> None:
        (self._folder / f"gate-{label}").unlink(missing_ok=True)
        (self._folder / f"held-{label}").unlink(missing_ok=True)

    def _tend(self) -> None:
        """Start again what has died."""
        for ended in self._services.ended():
            self._deaths.append(f"{ended.label} {ended.cause}")
            self._services.start(ended.label)

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            self._tend()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._lane.name}: see {self._folder}")
            time.sleep(POLL_SECONDS / 2)


def _commands() -> list[Command]:
    """The services, and a second Inventory Service that only takes part in a race."""
    modules = {name: ("workers", name) for name in CATALOG.services} | {"order": ("api",), RIVAL: ("workers", RIVALS)}
    python = (sys.executable, "-u", "-m", "tests.faults.crash_process")
    return [Command(label, module[-1], (*python, label, *module)) for label, module in modules.items()]


def _call(line: Mapping[str, Any]) -> Call:
    return Call(line["label"], line["role"], line["number"], line["call"], line["polls"])
