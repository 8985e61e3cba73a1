"""Check every invariant on the live stack: `python -m scripts.verify --help`.

What breaks an invariant at first may be unfinished work. It is a breach only if it still breaks the invariant a moment
later and nothing can correct it any more: no message in a queue, no look of the relay.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Protocol, TypeVar

from rich.console import Console
from rich.table import Table

from scripts.console import FAILED, OK, Progress, new_console, parser_of, run_command
from scripts.dlq import judge_of
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import inspect
from shopflow.aws.wiring import Aws, connect
from shopflow.catalog import Catalog
from shopflow.clock import Clock, SystemClock
from shopflow.config import Config, configured_catalog, load_config
from shopflow.domain.order import Order
from shopflow.environment import adopt_environment
from shopflow.errors import Unavailable
from shopflow.invariants import (
    INVARIANTS,
    OF_AN_ORDER,
    Breach,
    HeldUnits,
    Report,
    charged_as_expected,
    check_order,
    only_lacks_its_close,
)
from shopflow.messaging.sweep import FIRST_LOOK_SECONDS
from shopflow.ports import AuditEntry, AuditLog, DeadLetters, EveryOrder, Orders, Products
from workers.dead_letters import Walk
from workers.dry_run import Judge, Kind
from workers.gateway import transaction_id

CHUNK = 100
READERS = 8
MAX_SUSPECTS = 500
MAX_SHOWN = 20
MAX_UNAVAILABLE_IN_A_ROW = 5
"""Orders in a row that cannot be read. After that many, AWS itself does not answer."""
MOMENT_SECONDS = 2.0
MAX_COUNTS = 3
"""How often the units are counted. A difference that stays the same is a breach; one that changes is in flight."""
RELAY_SECONDS = 2 * FIRST_LOOK_SECONDS
"""An order of this age has had a look of the relay."""
DEAD_LETTERS = 5
CLOSING = 1
ONLY_TESTS_SEE = 7
"""A second publication leaves no trace in the tables."""
ABOUT = """\
Check that nothing was lost and nothing done twice: every order, product and dead letter of the running stack.

  make verify                        also: python -m scripts.verify

Whatever breaks an invariant is checked again after a moment. It is called in flight if it may still correct itself:
messages wait in the queues, the order has changed meanwhile, the relay has not looked at the order yet, or only the
relay's close is left, which happens while the Order Service runs. Otherwise it is a breach. So the result is exact
when the system is quiet. An order that stays open because its message is a dead letter is a breach: 'make dlq' says why
the message is there.

Charges are computed again from the orders' idempotency keys and PAYMENT_SEED, which must not have changed since. Reads
every order with its trail, and every dead letter, which is hidden meanwhile; writes nothing. Exit code 0: everything
holds; 1: something does not, or could not be checked.
"""
Show = Callable[[str], None]
T = TypeVar("T")


class Troubles:
    """The first failure of each order, while a command goes on with the other orders."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}
        self._in_a_row = 0

    def __len__(self) -> int:
        return len(self._found)

    @contextmanager
    def of(self, order_id: str) -> Iterator[None]:
        """Record whatever the block raises. Raises `Unavailable` after `MAX_UNAVAILABLE_IN_A_ROW` of them."""
        try:
            yield
        except Exception as error:  # whatever it is: the other orders must not wait for this one
            self._in_a_row = self._in_a_row + 1 if isinstance(error, Unavailable) else 0
            if self._in_a_row == MAX_UNAVAILABLE_IN_A_ROW:
                raise
            self._found.setdefault(order_id, " ".join(f"failed: {type(error).__name__}: {error}".split()))
        else:
            self._in_a_row = 0

    def report(self, progress: Progress) -> None:
        for order_id, text in islice(self._found.items(), MAX_SHOWN):
            progress.warn(f"{order_id} {text}")
        if len(self._found) > MAX_SHOWN:
            progress.warn(f"… {len(self._found):,} in all")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """``items`` in lists of ``size``, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


class OrdersTable(Orders, EveryOrder, Protocol): ...


@dataclass(slots=True)
class Findings:
    """``breaches``: nothing will correct them; ``in_flight``: unfinished work may still correct them.

    ``unread_orders``: orders that could not be checked; ``unseen_letters``: about how many dead letters were not.
    """

    breaches: Report = field(default_factory=Report)
    in_flight: Report = field(default_factory=Report)
    unread_orders: int = 0
    unseen_letters: int = 0

    def add(self, breach: Breach, *, moving: bool) -> None:
        passing = breach.may_pass and moving
        (self.in_flight if passing else self.breaches).add([breach])


@dataclass(slots=True)
class OrderCheck:
    """One check of all orders and products: invariants 1 to 4 and 6. Keeps a page of orders and the suspects.

    ``transaction_id``: the gateway's, by order id; ``waiting``: counts the messages in all queues.
    """

    orders: OrdersTable
    products: Products
    audit: AuditLog
    transaction_id: Callable[[str], str]
    waiting: Callable[[], int]
    clock: Clock
    pause: Callable[[float], None] = time.sleep
    findings: Findings = field(default_factory=Findings)
    troubles: Troubles = field(default_factory=Troubles)
    _held: HeldUnits = field(default_factory=HeldUnits, init=False)
    _suspects: dict[str, Order] = field(default_factory=dict, init=False)

    def run(self, show: Show) -> Findings:
        """Check orders and products. Raises `Unavailable`."""
        self.check_orders(show)
        self.findings.breaches.checked[2] += len(self.products.all())
        self._check_stock(show)
        return self.findings

    def check_orders(self, show: Show) -> Findings:
        """Check the orders alone. An order that fails is one of ``troubles``. Raises `Unavailable`."""
        done = 0
        with ThreadPoolExecutor(READERS) as readers:
            for orders in chunks(self.orders.all(), CHUNK):
                trails = [readers.submit(self.audit.trail, order.order_id) for order in orders]
                for order, trail in zip(orders, trails, strict=True):
                    self._held.add(order)
                    with self.troubles.of(order.order_id):
                        if self._breaches(order, trail.result()):
                            self._suspects[order.order_id] = order
                        self.findings.breaches.checked.update(OF_AN_ORDER)
                if len(self._suspects) >= MAX_SUSPECTS:
                    self._check_suspects()
                done += len(orders)
                show(f"{done:,} orders")
        self._check_suspects()
        self.findings.unread_orders = len(self.troubles)
        return self.findings

    def _check_suspects(self) -> None:
        """Check the suspects again."""
        if not self._suspects:
            return
        self.pause(MOMENT_SECONDS)
        busy = self.waiting() > 0
        for order_id, before in self._suspects.items():
            with self.troubles.of(order_id):
                trail = self.audit.trail(order_id)  # read before the order, so it is never ahead of the order
                for order in self.orders.read([order_id]).values():
                    moving = busy or order != before or self._is_young(order)
                    awaits_relay = only_lacks_its_close(order, [entry.event for entry in trail])
                    for breach in self._breaches(order, trail):
                        self.findings.add(breach, moving=moving or (awaits_relay and breach.invariant == CLOSING))
        self._suspects.clear()

    def _is_young(self, order: Order) -> bool:
        return order.opened_at is not None and self.clock.now_ms() - order.opened_at < RELAY_SECONDS * 1000

    def _breaches(self, order: Order, trail: Sequence[AuditEntry]) -> list[Breach]:
        charges = charged_as_expected(order, self.transaction_id(order.order_id))
        return list(check_order(order, [entry.event for entry in trail], charges))

    def _check_stock(self, show: Show) -> None:
        """Count the units again until they are all there, at most `MAX_COUNTS` times."""
        counts: list[Mapping[str, int]] = []
        while True:
            products = self.products.all()
            counts.append({one.product_id: self._held.missing(one) for one in products})
            offenders = list(self._held.check(products))
            if not offenders or len(counts) == MAX_COUNTS:
                break
            show(f"counting the units again: {len(offenders)} products differ")
            self.pause(MOMENT_SECONDS)
            self._held = HeldUnits()
            for order in self.orders.all():
                self._held.add(order)
        busy = self.waiting() > 0
        for breach in offenders:
            changed = len({count.get(breach.subject) for count in counts}) > 1
            self.findings.add(breach, moving=busy or changed)


def check_dead_letters(service: str, dlq: DeadLetters, judge: Judge, findings: Findings, show: Show) -> None:
    """Invariant 5: poison belongs there. Anything else is work that an operator must redrive."""
    with Walk(dlq, SystemClock(), show=show) as walk:
        for letters in walk.batches():
            for one in judge(service, letters):
                findings.breaches.checked[DEAD_LETTERS] += 1
                if one.kind is not Kind.BREACH:
                    text = f"has {one.message_id}, which {one.reason}: see 'make dlq'"
                    findings.breaches.add([Breach(DEAD_LETTERS, f"{service} dead-letter queue", text)])
    findings.unseen_letters += walk.total - walk.seen


def order_check(config: Config, aws: Aws) -> OrderCheck:
    """A check of the live tables."""
    expected, waiting = partial(transaction_id, config.gateway.seed), partial(messages_waiting, config)
    return OrderCheck(aws.orders, aws.products, aws.audit, expected, waiting, SystemClock())


def verify(config: Config, catalog: Catalog, aws: Aws, progress: Progress) -> Findings:
    """All invariants that a live stack shows. Raises `Unavailable`."""
    check = order_check(config, aws)
    with progress.step("Checking orders, trails and stock") as show:
        findings = check.run(show)
    check.troubles.report(progress)
    judge = judge_of(aws, catalog)
    with progress.step("Looking through the dead-letter queues") as show:
        for service in config.resources.dlq_urls:
            check_dead_letters(service, aws.dead_letters(service), judge, findings, show)
    return findings


def messages_waiting(config: Config) -> int:
    """About how many messages are in all queues, with those in flight, without dead letters."""
    return sum(depth.total for depth in inspect(config).queues.values() if depth)


def result_table(findings: Findings) -> Table:
    table = Table("", "Invariant", "Checked", "Breaches", "In flight")
    for number, title in INVARIANTS.items():
        if number == ONLY_TESTS_SEE:
            table.add_row(str(number), title, "by tests", "", "")
            continue
        counts = (findings.breaches.checked, findings.breaches.breached, findings.in_flight.breached)
        checked, breached, in_flight = (f"{count[number]:,}" for count in counts)
        table.add_row(str(number), title, checked, breached if breached == "0" else f"[red]{breached}", in_flight)
    return table


def show_offenders(findings: Findings, console: Console, numbers: Collection[int] = INVARIANTS.keys()) -> None:
    """Name what breaks the invariants ``numbers``: what is in flight in yellow, the breaches in red."""
    for report, title, colour in ((findings.in_flight, "In flight", "yellow"), (findings.breaches, "Breach of", "red")):
        for number in sorted(report.offenders.keys() & numbers):
            offenders = report.offenders[number]
            console.print(f"{title} {number}, {INVARIANTS[number]}:", style=colour)
            for breach in offenders:
                console.print(f"  {breach.subject}  {breach.text}", markup=False)
            if more := report.breached[number] - len(offenders):
                console.print(f"  … and {more:,} more")


def conclusion(findings: Findings) -> tuple[str, int]:
    """The result in a sentence, which claims nothing about what was not checked; and the exit code."""
    unseen = {"orders": findings.unread_orders, "dead letters": findings.unseen_letters}
    left_out = " and ".join(f"{count:,} {what}" for what, count in unseen.items() if count)
    if not findings.breaches.holds:
        return "[red]Not every invariant holds.", FAILED
    if left_out:
        return f"[red]Every invariant holds for what was checked, but {left_out} could not be: try again.", FAILED
    return "Every invariant holds.", OK


def main() -> int:
    parser_of("scripts.verify", ABOUT).parse_args()
    env, console = adopt_environment(), new_console(soft_wrap=True)
    config = load_config(env)
    findings = verify(config, configured_catalog(env), connect(config, PATIENT), Progress())
    console.print(result_table(findings))
    show_offenders(findings, console)
    sentence, code = conclusion(findings)
    console.print(sentence)
    return code


if __name__ == "__main__":
    sys.exit(run_command(main))
