"""One run of all services through a storm of faults and the calm after it, decided by a seed alone."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from shopflow import jsontext
from shopflow.errors import InvalidRequest, MalformedRow, Unavailable
from shopflow.invariants import Breach, check_levels
from shopflow.memory.queues import MemoryDeadLetters
from shopflow.memory.tables import Rows
from shopflow.messaging.relay import FIRST_LOOK_SECONDS
from tests.clocks import ManualClock
from tests.faults.lasting import DAY
from tests.faults.nonsense import SPOILED_ORDERS, SPOILED_PRODUCTS, Spoiled
from tests.faults.observer import HELD, PURGE, Observer
from tests.faults.poison import misrouted_for, poison_for
from tests.faults.storm import Rates, Storm, StormyAuditLog, StormyQueue, StormyTopic
from tests.faults.verdict import Letters, breaches_of
from tests.system import CATALOG, OUTBOX, System, service_of
from tests.taps import Crash
from tests.twins import wire
from workers.dead_letters import Walk
from workers.dry_run import DryRun
from workers.gateway import ACCEPTED_TOKEN, DECLINED_TOKENS

METHODS = (None, ACCEPTED_TOKEN, ACCEPTED_TOKEN, *DECLINED_TOKENS)
CALM_SECONDS = 30 * DAY
"""What no queue holds any more is published again after 14 days: time for that, and for the rest of its chain."""
PAST_VISIBILITY_SECONDS = 61
HANG_SECONDS = 21
"""A worker's call that goes unanswered: three tries of 2 + 5 s (`shopflow.aws.calls.PATIENT`)."""
PAUSES_SECONDS = (0.05, 0.5, 1, 5, 30, 90)
LONG_PAUSES_SECONDS = (600, 3600, 6 * 3600, DAY, 4 * DAY, 8 * DAY, 15 * DAY)
MAX_SKEW_MS = 5 * 60_000
FAR_OFF_MS = (-400 * DAY * 1000, -DAY * 1000, DAY * 1000, 400 * DAY * 1000, 7900 * 365 * DAY * 1000)
END_OF_TIME = "9999-12-31T23:59:59.999Z"


@dataclass(slots=True)
class Client:
    """Asks for one order, under one key, until it is answered; an ``anxious`` one asks again then."""

    key: str
    wanted: dict[str, int]
    payment_method: str | None
    anxious: bool
    answered: bool = False

    @property
    def content(self) -> bool:
        return self.answered and not self.anxious


@dataclass(frozen=True, slots=True)
class Result:
    """What a seed came to: the breaches, and what there was to see on the way."""

    seed: int
    breaches: list[Breach]
    orders: int
    faults: int
    reached: frozenset[str]


class Simulation:
    """``note`` is told of what happens, for a person who replays a seed."""

    def __init__(self, seed: int, note: Callable[[str], None] = lambda _: None) -> None:
        self.seed = seed
        self.rand = random.Random(seed)
        self.clock = ManualClock()
        self._tell = note
        self.storm = Storm(self.rand, Rates.draw(self.rand), self.clock.now_ms, self._note)
        self.storm.interlude = self._interlude
        self.storm.hang = lambda: self._let_pass(HANG_SECONDS)
        self.observer = Observer(self.storm, lambda: self.system.clock_of("relay").now_ms())
        self.long = self.rand.random() < 0.2
        self.spoils = self.rand.random() < 0.3
        self.spoiled: list[Spoiled] = []
        self.topic = StormyTopic(self.storm, self.clock)
        self.system = self._system()
        self.clients = [self._client(number) for number in range(self.rand.randint(1, 8))]
        self.poison: defaultdict[str, set[str]] = defaultdict(set)
        self.purged: defaultdict[str, set[str]] = defaultdict(set)
        self.misdated: set[str] = set()
        self.accepted: list[str] = []
        self.oversold: list[Breach] = []

    def run(self) -> Result:
        for _ in range(self.rand.randint(0, len(self.clients))):
            self._somebody_asks()
        for _ in range(self.rand.randint(20, 100)):
            self._stormy_moment()
        self._note("the storm is over")
        self.storm.stop()
        finished = self._calm()
        self.observer.faults += self.storm.faults
        letters = Letters(self.poison, self.purged, self.misdated)
        breaches = self.oversold + breaches_of(self.system, self.observer, self.accepted, letters)
        if not finished:
            breaches.append(Breach(1, f"seed {self.seed}", f"not quiet after {CALM_SECONDS / 3600:g} hours of calm"))
        reached = frozenset(self.observer.reached)
        return Result(self.seed, breaches, len(self.system.tables.orders), self.observer.faults, reached)

    def _system(self) -> System:
        """Scarce stock, one or two processes a service, and clocks that differ in half of the runs."""
        rand = self.rand
        twins = wire(
            CATALOG,
            self.clock,
            topic=self.topic,
            audit=StormyAuditLog(self.storm, rand),
            queue=partial(StormyQueue, self.storm),
        )
        skewed = rand.random() < 0.5
        services = [*CATALOG.services, "relay"]
        self.storm.faults += skewed
        skew = {name: rand.randint(-MAX_SKEW_MS, MAX_SKEW_MS) for name in services} if skewed else {}
        if skewed and rand.random() < 0.2:
            skew[rand.choice(services)] = rand.choice(FAR_OFF_MS)
            self.observer.clocks_lie = True
        return System(
            {f"P{number}": rand.randint(0, 8) for number in range(rand.choice((1, 1, 2, 4)))},
            seed=self.seed,
            tap=self.observer,
            scale={service.name: rand.choice((1, 2, 2)) for service in CATALOG.consumers},
            skew=skew,
            clock=self.clock,
            twins=twins,
        )

    def _client(self, number: int) -> Client:
        products = [product.product_id for product in self.system.twins.products.all()]
        chosen = self.rand.sample(products, self.rand.randint(1, min(2, len(products))))
        wanted = {product_id: self.rand.randint(1, 3) for product_id in chosen}
        return Client(f"client {number}", wanted, self.rand.choice(METHODS), anxious=self.rand.random() < 0.3)

    def _stormy_moment(self) -> None:
        """Some work, others lag, then nobody works for a while: the Audit Service may be late for the relay's look."""
        self._anything()
        for name in self.system.consumers:
            if self.system.awake(name):
                if self.rand.random() < 0.8:
                    self.system.step(name)
                else:
                    self.storm.faults += 1
        self.observer.reached |= {HELD} if self.system.has_deferred() else set()
        self.oversold += check_levels(self.system.twins.products.all())
        pauses = LONG_PAUSES_SECONDS if self.long and self.rand.random() < 0.1 else PAUSES_SECONDS
        pause = self.rand.choice(pauses)
        self.storm.faults += pause > FIRST_LOOK_SECONDS / 2
        self._let_pass(pause)

    def _interlude(self, caller: str) -> None:
        """What happens while a call of ``caller`` is on its way: above all, what gets in its way."""
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
        elif draw < 0.7 and self.spoils:
            self._spoil()
        elif draw < 0.72 and self.spoiled:
            self.spoiled.pop().restore()

    def _somebody_asks(self) -> None:
        waiting = [client for client in self.clients if not client.content]
        if waiting:
            self._ask(self.rand.choice(waiting))

    def _ask(self, client: Client) -> None:
        try:
            order = self.system.place(client.wanted, client.payment_method, client.key)
        except (Crash, Unavailable, MalformedRow, InvalidRequest) as error:
            self._note(f"{client.key} has no order: {error!r}")
            return
        self._note(f"{client.key} has {order.order_id}: {client.wanted} {client.payment_method}")
        self.accepted.append(order.order_id)
        client.anxious = client.anxious and not client.answered
        client.answered = True

    def _relay_looks(self) -> None:
        """The relay looks at an order at any time, due or not."""
        opened = sorted(self.system.tables.opened)
        if not opened:
            return
        self.storm.faults += 1
        try:
            self.system.relay.look_at(self.rand.choice(opened), self.clock.now, self.clock.now)
        except (Crash, Unavailable, MalformedRow) as error:
            self._note(f"the relay's look fails: {error!r}")

    def _poison(self) -> None:
        service = self.rand.choice(CATALOG.consumers).name
        body = poison_for(service, self.rand)
        self.poison[service].add(body)
        self.system.queues[service].send(body)
        self._note(f"poison for {service}: {body[:60]}")

    def _restock(self) -> None:
        if products := self.system.twins.products.all():
            self.system.twins.products.restock(self.rand.choice(products).product_id, self.rand.randint(1, 3))

    def _misroute(self) -> None:
        """An old filter policy lets an event through, and keeps the newest one of an order from its queue."""
        service = self.rand.choice(CATALOG.consumers).name
        if body := misrouted_for(service, self.rand):
            self.system.queues[service].send(body)
        if orders := list(self.system.tables.orders):
            self._misdate(self.rand.choice(orders))

    def _misdate(self, order_id: str) -> None:
        """A copy of an order's first event from the end of time: nothing can come after it."""
        if entry := next(iter(self.system.audit.trail(order_id)), None):
            text = jsontext.dumps({**entry.event.to_json(), "timestamp": END_OF_TIME})
            self.misdated.add(text)
            self.system.queues["inventory"].send(text)

    def _spoil(self) -> None:
        """Somebody writes into a row by hand."""
        tables = self.system.tables
        of_orders = self.rand.random() < 0.5
        rows: Rows[Any] = tables.orders if of_orders else tables.products
        choices = SPOILED_ORDERS if of_orders else SPOILED_PRODUCTS
        sound = sorted(set(rows) - {one.key for one in self.spoiled})
        if sound:
            self.spoiled.append(Spoiled.spoil(rows, self.rand.choice(sound), self.rand, choices))
            self._note(f"{self.spoiled[-1].key}: {self.spoiled[-1].name} is spoiled")
            self.storm.faults += 1

    def _let_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.topic.deliver()

    def _calm(self) -> bool:
        """Nothing fails any more. Returns whether all finishes, once the operator has seen to the dead letters."""
        while self.spoiled:
            self.spoiled.pop().restore()
        self.topic.deliver(all_of_them=True)
        for client in self.clients:
            while not client.content:
                self._ask(client)
        end = self.clock.now + CALM_SECONDS * 1000
        while not self.system.drained() and self.clock.now < end:
            self.system.tick()
        self._look_at_dead_letters()
        return self.system.run_until_quiet(CALM_SECONDS)

    def _look_at_dead_letters(self) -> None:
        """The operator sends back what would succeed, and in half of the runs deletes what would fail again."""
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
                            self.purged[service].add(one.letter.message.body)
                            letters.delete([one.letter])
                            walk.took([one.letter])
                            self.observer.reached.add(PURGE)

    def _note(self, text: str) -> None:
        self._tell(f"{self.clock.now / 1000 % 100_000:9.2f} s  {text}")
