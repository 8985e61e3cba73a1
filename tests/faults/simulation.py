"""One run of all services through a storm of faults and the calm after it, decided by a seed alone."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from shopflow.errors import Unavailable
from shopflow.invariants.report import Breach
from shopflow.invariants.stock import check_levels
from shopflow.messaging.relay import FIRST_LOOK_SECONDS
from tests.clocks import ManualClock
from tests.faults.observer import Observer
from tests.faults.poison import poison_for
from tests.faults.storm import Rates, Storm, StormyAuditLog, StormyQueue, StormyTopic
from tests.faults.verdict import breaches_of
from tests.system import CATALOG, System, service_of
from tests.taps import Crash
from tests.twins import wire
from workers.gateway import ACCEPTED_TOKEN, DECLINED_TOKENS

METHODS = (None, ACCEPTED_TOKEN, ACCEPTED_TOKEN, *DECLINED_TOKENS)
CALM_SECONDS = 6 * 3600
"""The relay looks at an old order once an hour at least: time for that, and for the rest of its chain."""
PAST_VISIBILITY_SECONDS = 61
PAUSES_SECONDS = (0.05, 0.5, 1, 5, 30, 90)
MOST_SKEW_MS = 5 * 60_000


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


class Simulation:
    """``note`` is told of what happens, for a person who replays a seed."""

    def __init__(self, seed: int, note: Callable[[str], None] = lambda _: None) -> None:
        self.seed = seed
        self.rand = random.Random(seed)
        self.clock = ManualClock()
        self._tell = note
        self.storm = Storm(self.rand, Rates.draw(self.rand), self._note)
        self.storm.interlude = self._interlude
        self.observer = Observer(self.storm)
        self.topic = StormyTopic(self.storm, self.clock)
        self.system = self._system()
        self.clients = [self._client(number) for number in range(self.rand.randint(1, 8))]
        self.poison: defaultdict[str, set[str]] = defaultdict(set)
        self.accepted: list[str] = []
        self.oversold: list[Breach] = []

    def run(self) -> Result:
        for _ in range(self.rand.randint(0, len(self.clients))):
            self._somebody_asks()
        for _ in range(self.rand.randint(20, 100)):
            self._stormy_moment()
        self._note("the storm is over")
        self.storm.raging = False
        finished = self._calm()
        self.observer.faults += self.storm.faults
        poison = {service: frozenset(bodies) for service, bodies in self.poison.items()}
        breaches = self.oversold + breaches_of(self.system, self.observer, self.accepted, poison)
        if not finished:
            breaches.append(Breach(1, f"seed {self.seed}", f"not quiet after {CALM_SECONDS / 3600:g} hours of calm"))
        return Result(self.seed, breaches, len(self.system.tables.orders), self.observer.faults)

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
        return System(
            {f"P{number}": rand.randint(0, 8) for number in range(rand.choice((1, 1, 2, 4)))},
            seed=self.seed,
            tap=self.observer,
            scale={service.name: rand.choice((1, 2, 2)) for service in CATALOG.consumers},
            skew={name: rand.randint(-MOST_SKEW_MS, MOST_SKEW_MS) for name in services} if skewed else {},
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
        self.oversold += check_levels(self.system.twins.products.all())
        pause = self.rand.choice(PAUSES_SECONDS)
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

    def _somebody_asks(self) -> None:
        waiting = [client for client in self.clients if not client.content]
        if waiting:
            self._ask(self.rand.choice(waiting))

    def _ask(self, client: Client) -> None:
        try:
            order = self.system.place(client.wanted, client.payment_method, client.key)
        except (Crash, Unavailable) as error:
            self._note(f"{client.key} is not answered: {error!r}")
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
        except (Crash, Unavailable) as error:
            self._note(f"the relay's look fails: {error!r}")

    def _poison(self) -> None:
        service = self.rand.choice(CATALOG.consumers).name
        body = poison_for(service, self.rand)
        self.poison[service].add(body)
        self.system.queues[service].send(body)
        self._note(f"poison for {service}: {body[:60]}")

    def _restock(self) -> None:
        product = self.rand.choice(self.system.twins.products.all())
        self.system.twins.products.restock(product.product_id, self.rand.randint(1, 3))

    def _let_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.topic.deliver()

    def _calm(self) -> bool:
        """Nothing fails any more. Returns whether everything finishes, after one redrive of the dead-letter queues."""
        self.topic.deliver(all_of_them=True)
        for client in self.clients:
            while not client.content:
                self._ask(client)
        end = self.clock.now + CALM_SECONDS * 1000
        while not self.system.drained() and self.clock.now < end:
            self.system.tick()
        self._note("redrive")
        self.system.redrive()
        return self.system.run_until_quiet(CALM_SECONDS)

    def _note(self, text: str) -> None:
        self._tell(f"{self.clock.now / 1000 % 100_000:9.2f} s  {text}")
