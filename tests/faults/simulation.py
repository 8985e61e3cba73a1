"""All of ShopFlow over in-memory twins, through a storm of faults and the calm after it. A seed decides the whole run.

python -m tests.faults.simulation --seeds 1000                   seeds 0 to 999
python -m tests.faults.simulation --seeds 1000 --first 5000      seeds 5000 to 5999
python -m tests.faults.simulation --seed 4711                    this one again, with all that happens in it
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import track

from shopflow import jsontext
from shopflow.errors import InvalidRequest, MalformedRow, Unavailable
from shopflow.invariants import Breach, check_levels
from shopflow.memory.queues import MemoryDeadLetters
from shopflow.memory.tables import Rows
from shopflow.messaging.sweep import FIRST_LOOK_SECONDS
from tests.clocks import ManualClock
from tests.faults.injections import DAMAGE_TO_ORDERS, DAMAGE_TO_PRODUCTS, DAY, damage, misrouted_for, poison_for
from tests.faults.storm import Storm, StormyAuditLog, StormyOrders, StormyQueue, StormyTopic
from tests.faults.verdict import DEFERRED, PURGE, RARE, WatchedSystem
from tests.system import CATALOG, OUTBOX, service_of
from tests.taps import Crash
from tests.twins import wire
from workers.dead_letters import Walk
from workers.dry_run import DryRun
from workers.gateway import ACCEPTED_TOKEN, DECLINED_TOKENS

OK, FAILED = 0, 1
CHUNK = 25
"""Seeds that one process of the pool runs at a time."""
ENOUGH_SEEDS = 500
"""With so many seeds, every rare thing must have happened at least once."""
METHODS = (None, ACCEPTED_TOKEN, ACCEPTED_TOKEN, *DECLINED_TOKENS)
CALM_SECONDS = 30 * DAY
"""The relay publishes again after 14 days what no queue holds any more. Then the order goes on."""
PAST_VISIBILITY_SECONDS = 61
HANG_SECONDS = 21
"""The time limit of a worker's call without an answer: three tries of 2 + 5 s (`shopflow.aws.calls.PATIENT`)."""
PAUSES_SECONDS = (0.05, 0.5, 1, 5, 30, 90)
LONG_PAUSES_SECONDS = (600, 3600, 6 * 3600, DAY, 4 * DAY, 8 * DAY, 15 * DAY)
MAX_SKEW_MS = 5 * 60_000
FAR_OFF_MS = (-400 * DAY * 1000, -DAY * 1000, DAY * 1000, 400 * DAY * 1000, 7900 * 365 * DAY * 1000)
END_OF_TIME = "9999-12-31T23:59:59.999Z"


@dataclass(slots=True)
class Client:
    """Asks for one order, under one key, until it has its ``answers``: one, or for an anxious client two."""

    key: str
    wanted: dict[str, int]
    payment_method: str | None
    answers: int


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one seed. ``reached``: the rare things that happened."""

    seed: int
    breaches: list[Breach]
    orders: int
    faults: int
    reached: frozenset[str]


class Simulation:
    """``note`` gets a line about all that happens, for a person who replays a seed."""

    def __init__(self, seed: int, note: Callable[[str], None] = lambda _: None) -> None:
        self.seed = seed
        self.rand = random.Random(seed)
        random.seed(seed)  # of the delays that have no source of their own
        self.clock = ManualClock()
        self._print = note
        self.storm = Storm(self.rand, self.clock.now_ms, self._note)
        self.storm.interlude = self._interlude
        self.storm.hang = lambda: self._let_pass(HANG_SECONDS)
        self._long = self.rand.random() < 0.2
        self._damages = self.rand.random() < 0.3
        self._repairs: dict[str, Callable[[], None]] = {}
        self.topic = StormyTopic(self.storm, self.clock)
        self.system = self._system()
        self.observer = self.system.observer
        self.clients = [self._client(number) for number in range(self.rand.randint(1, 8))]
        self.oversold: list[Breach] = []

    def run(self) -> Result:
        for _ in range(self.rand.randint(0, len(self.clients))):
            self._somebody_asks()
        for _ in range(self.rand.randint(20, 100)):
            self._stormy_moment()
        self._note("the storm is over")
        self.storm.stop()
        self._calm()
        self.observer.faults += self.storm.faults
        breaches = self.oversold + self.system.breaches(CALM_SECONDS)
        reached = frozenset(self.observer.reached)
        return Result(self.seed, breaches, len(self.system.tables.orders), self.observer.faults, reached)

    def _system(self) -> WatchedSystem:
        """Little stock, one or two processes for each service, and clocks that differ in half of the runs."""
        rand = self.rand
        twins = wire(
            CATALOG,
            self.clock,
            topic=self.topic,
            orders=lambda tables: StormyOrders(tables, self.storm),
            audit=StormyAuditLog(self.storm, rand),
            queue=partial(StormyQueue, self.storm),
        )
        skewed = rand.random() < 0.5
        services = [*CATALOG.services, "relay"]
        self.storm.faults += skewed
        skew = {name: rand.randint(-MAX_SKEW_MS, MAX_SKEW_MS) for name in services} if skewed else {}
        if skewed and rand.random() < 0.2:
            skew[rand.choice(services)] = rand.choice(FAR_OFF_MS)
        return WatchedSystem(
            {f"P{number}": rand.randint(0, 8) for number in range(rand.choice((1, 1, 2, 4)))},
            self.storm,
            seed=self.seed,
            scale={service.name: rand.choice((1, 2, 2)) for service in CATALOG.consumers},
            skew=skew,
            clock=self.clock,
            twins=twins,
        )

    def _client(self, number: int) -> Client:
        products = [product.product_id for product in self.system.twins.products.all()]
        chosen = self.rand.sample(products, self.rand.randint(1, min(2, len(products))))
        wanted = {product_id: self.rand.randint(1, 3) for product_id in chosen}
        return Client(f"client {number}", wanted, self.rand.choice(METHODS), answers=1 + (self.rand.random() < 0.3))

    def _stormy_moment(self) -> None:
        """Most services make a round, then all stand still for a while: Audit may be too late for the relay's look."""
        self._anything()
        for name in self.system.consumers:
            if self.system.awake(name):
                if self.rand.random() < 0.8:
                    self.system.step(name)
                else:
                    self.storm.faults += 1
        has_deferred = any(consumer.has_deferred for consumer in self.system.consumers.values())
        self.observer.reached |= {DEFERRED} if has_deferred else set()
        self.oversold += check_levels(self.system.twins.products.all())
        pauses = LONG_PAUSES_SECONDS if self._long and self.rand.random() < 0.1 else PAUSES_SECONDS
        pause = self.rand.choice(pauses)
        self.storm.faults += pause > FIRST_LOOK_SECONDS / 2
        self._let_pass(pause)

    def _interlude(self, caller: str) -> None:
        """What happens while a call of ``caller`` is on its way: above all, what interferes with it."""
        if self.rand.random() < 0.3:
            self._let_pass(PAST_VISIBILITY_SECONDS)
        self._somebody_asks()
        self._anything()
        siblings = [name for name in self.system.consumers if service_of(name) == service_of(caller)]
        for name in [*siblings, self.rand.choice(list(self.system.consumers))]:
            self.system.step(name)

    def _anything(self) -> None:
        draw = self.rand.random()
        if draw < 0.35:
            self._somebody_asks()
        elif draw < 0.45:
            self.system.sweep()
        elif draw < 0.55:
            self._relay_looks()
        elif draw < 0.6:
            self._let_pass(self.rand.choice(PAUSES_SECONDS))
        elif draw < 0.63:
            self._poison()
        elif draw < 0.66:
            self._restock()
        elif draw < 0.68:
            self._misroute()
        elif draw < 0.7 and self._damages:
            self._damage()
        elif draw < 0.72 and self._repairs:
            self._repairs.popitem()[1]()

    def _somebody_asks(self) -> None:
        waiting = [client for client in self.clients if client.answers > 0]
        if waiting:
            self._ask(self.rand.choice(waiting))

    def _ask(self, client: Client) -> None:
        try:
            order = self.system.place(client.wanted, client.payment_method, client.key)
        except (Crash, Unavailable, MalformedRow, InvalidRequest) as error:
            self._note(f"{client.key} gets no order: {error!r}")
            return
        self._note(f"{client.key} gets {order.order_id}: {client.wanted} {client.payment_method}")
        client.answers -= 1

    def _relay_looks(self) -> None:
        """The relay looks at an order, due or not."""
        opened = sorted(self.system.tables.opened)
        if not opened:
            return
        self.storm.faults += 1
        try:
            self.system.look_at(self.rand.choice(opened))
        except (Crash, Unavailable, MalformedRow) as error:
            self._note(f"the relay's look fails: {error!r}")

    def _poison(self) -> None:
        service = self.rand.choice(CATALOG.consumers).name
        body = poison_for(service, self.rand)
        self.system.poison[service].add(body)
        self.system.queues[service].send(body)
        self._note(f"poison for {service}: {body[:60]}")

    def _restock(self) -> None:
        if products := self.system.twins.products.all():
            self.system.twins.products.restock(self.rand.choice(products).product_id, self.rand.randint(1, 3))

    def _misroute(self) -> None:
        """An old filter policy lets an event through. And a copy of an event comes with a wrong time."""
        service = self.rand.choice(CATALOG.consumers).name
        if body := misrouted_for(service, self.rand):
            self.system.queues[service].send(body)
        if orders := list(self.system.tables.orders):
            self._misdate(self.rand.choice(orders))

    def _misdate(self, order_id: str) -> None:
        """A copy of an order's first event, dated so late that no event can come after it."""
        if entry := next(iter(self.system.audit.trail(order_id)), None):
            text = jsontext.dumps({**entry.event.to_json(), "timestamp": END_OF_TIME})
            self.system.misdated.add(text)
            self.system.queues["inventory"].send(text)

    def _damage(self) -> None:
        """Somebody overwrites an attribute of a row by hand."""
        tables = self.system.tables
        of_orders = self.rand.random() < 0.5
        rows: Rows[Any] = tables.orders if of_orders else tables.products
        choices = DAMAGE_TO_ORDERS if of_orders else DAMAGE_TO_PRODUCTS
        intact = sorted(set(rows) - self._repairs.keys())
        if intact:
            key = self.rand.choice(intact)
            name, wrong = self.rand.choice([one for one in choices if one[0] in rows.data[key]] or choices)
            self._repairs[key] = damage(rows, key, name, wrong)
            self._note(f"{key}: {name} is overwritten")
            self.storm.faults += 1

    def _let_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.topic.deliver()

    def _calm(self) -> None:
        """Nothing fails any more, and the operator handles the dead letters."""
        for repair in self._repairs.values():
            repair()
        self.topic.deliver(all_of_them=True)
        for client in self.clients:
            while client.answers > 0:
                self._ask(client)
        end = self.clock.now + CALM_SECONDS * 1000
        while not self.system.drained() and self.clock.now < end:
            self.system.tick()
        self._handle_dead_letters()

    def _handle_dead_letters(self) -> None:
        """The operator redrives what would succeed, and in half of the runs purges what would fail again."""
        purges = self.rand.random() < 0.5
        system = self.system
        dry_run = DryRun(OUTBOX, system.twins.orders, system.twins.products, system.audit, self.clock)
        for service, dlq in system.dlqs.items():
            letters = MemoryDeadLetters(dlq, system.queues[service])
            with Walk(letters, self.clock) as walk:
                for batch in walk.batches():
                    for one in dry_run.judge(service, batch):
                        if one.kind.would_succeed:
                            self._note(f"redrive for {service}: {one.explanation}")
                            letters.redrive(one.letter)
                            walk.took([one.letter])
                        elif purges and one.kind.would_fail:
                            self._note(f"purge for {service}: {one.explanation}")
                            self.system.purged[service].add(one.letter.message.body)
                            letters.delete([one.letter])
                            walk.took([one.letter])
                            self.observer.reached.add(PURGE)

    def _note(self, text: str) -> None:
        self._print(f"{self.clock.now / 1000 % 100_000:9.2f} s  {text}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many seeds (default: 1000)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first of them (default: 0)")
    parser.add_argument("--seed", type=int, metavar="N", help="replay this one alone")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    console = Console(highlight=False, soft_wrap=True)
    try:
        if options.seed is not None:
            return _replay(options.seed, console)
        return _run(range(options.first, options.first + options.seeds), console)
    except KeyboardInterrupt:
        return 130


def _run(seeds: range, console: Console) -> int:
    started = time.monotonic()
    results = []
    with ProcessPoolExecutor(os.cpu_count(), initializer=logging.disable, initargs=(logging.CRITICAL,)) as pool:
        simulated = pool.map(_simulated, seeds, chunksize=CHUNK)
        quiet = not console.is_terminal
        for result in track(simulated, "Seeds", len(seeds), console=console, transient=True, disable=quiet):
            results.append(result)
            _show_breaches(result, console)
    seconds, failed = time.monotonic() - started, sum(bool(result.breaches) for result in results)
    orders, faults = sum(result.orders for result in results), sum(result.faults for result in results)
    verdict = f"{failed:,} seeds failed" if failed else "every invariant holds"
    console.print(f"{len(seeds):,} seeds, {orders:,} orders, {faults:,} faults, {seconds:.0f} s: {verdict}")
    reached = Counter(what for result in results for what in result.reached)
    console.print("Seeds that came to " + ", ".join(f"{what}: {reached[what]:,}" for what in sorted(RARE)))
    missed = sorted(RARE - reached.keys()) if len(seeds) >= ENOUGH_SEEDS else []
    if missed:
        console.print(f"No seed came to {', '.join(missed)}: the runs are too tame to prove anything.", style="red")
    return FAILED if failed or missed else OK


def _simulated(seed: int) -> Result:
    """The result of a seed. An error in it is a breach, and ends no other."""
    try:
        return Simulation(seed).run()
    except Exception as error:
        return Result(seed, [Breach(1, f"seed {seed}", f"breaks off: {error!r}")], 0, 0, frozenset())


def _replay(seed: int, console: Console) -> int:
    result = Simulation(seed, note=lambda text: console.print(text, markup=False)).run()
    _show_breaches(result, console)
    console.print(f"{result.orders} orders, {result.faults} faults, {len(result.breaches)} breaches")
    return FAILED if result.breaches else OK


def _show_breaches(result: Result, console: Console) -> None:
    for breach in result.breaches:
        console.print(f"seed {result.seed}: {breach}", style="red", markup=False)
    if result.breaches:
        console.print(f"  again: python -m tests.faults.simulation --seed {result.seed}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
