"""All of ShopFlow in one thread: the real handlers, consumer, relay and API use case, over the in-memory twins.

Every call that a service makes to the outside goes through a `Tap`. So a test can record the call, refuse it, lose its
answer, or crash the service there. The system advances the clock itself.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, cast

from api.placing import PlaceOrder, ProductCache
from shopflow.catalog import load_catalog
from shopflow.clock import HeaderFactory
from shopflow.config import GatewaySettings
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import Order
from shopflow.memory.queues import MemoryTopic
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.outbox import Outbox, Publisher
from shopflow.messaging.relay import Relay
from shopflow.messaging.retry import Backoff
from shopflow.messaging.sweep import Sweep
from shopflow.ports import Outgoing, Queue, Topic
from shopflow.telemetry import SILENT, Telemetry
from tests.clocks import ManualClock, SkewedClock
from tests.taps import CountingMailer, Crash, LedgerGateway, Tap, Tapped, straight_through
from tests.twins import Twins, wire
from workers import handlers
from workers.gateway import SimulatedGateway


class QuickContracts(Contracts):
    """The contracts, with a cache. Otherwise, decoding takes a third of the time of a run over the twins."""

    @lru_cache(maxsize=10_000)  # noqa: B019 - of the one object below
    def decode(self, text: str) -> Event:
        return super().decode(text)


CATALOG = load_catalog()
CONTRACTS = QuickContracts(CATALOG)
OUTBOX = Outbox(CATALOG, CONTRACTS)
RELAY_SECONDS = 30
IDLE_SECONDS = 10
"""Time passes in steps of this while no message can be received: far below the visibility timeout."""
LONG_IDLE_SECONDS = 1800
LONG_IDLE_TICKS = 60
"""After so many ticks without any message only the relay waits for something, so time passes in longer steps."""


@dataclass(frozen=True, slots=True)
class Ports(handlers.WorkerPorts):
    """One service's view of the world."""

    topic: Topic


class System:
    """All services over one set of twins.

    ``stock`` seeds the products. ``seed`` decides event ids, jitter and the gateway's draws. Without a ``relay`` there
    are no sweeps. ``scale`` starts more consumers of a service's queue: "payment", "payment-2" … ``skew`` puts the
    clock of a service ahead by so many milliseconds. A ``topic``, or all ``twins`` on ``clock``, take the place of
    faultless ones. ``telemetry(service)`` is the telemetry of that service.
    """

    def __init__(
        self,
        stock: Mapping[str, int],
        *,
        seed: int = 0,
        tap: Tap = straight_through,
        relay: bool = True,
        scale: Mapping[str, int] | None = None,
        skew: Mapping[str, int] | None = None,
        topic: MemoryTopic | None = None,
        clock: ManualClock | None = None,
        twins: Twins | None = None,
        telemetry: Callable[[str], Telemetry] = lambda _: SILENT,
    ) -> None:
        self.clock = clock or ManualClock()
        self.random = random.Random(seed)
        self.twins = twins or wire(CATALOG, self.clock, topic=topic)
        self.twins.seed(stock)
        self.tables, self.audit = self.twins.tables, self.twins.audit
        self.queues, self.dlqs = self.twins.queues, self.twins.dlqs
        self.gateway = LedgerGateway(SimulatedGateway(GatewaySettings(0.8, (300, 800), str(seed)), lambda _: None))
        self.mailer = CountingMailer()
        self._tap = tap
        self._telemetry = telemetry
        self._skew = skew or {}
        self._never = threading.Event()
        self._wake_at: dict[str, int] = {}
        self._at_work: set[str] = set()
        self.relay_enabled = relay
        self._keys = count(1)
        more = [f"{name}-{number}" for name, count in (scale or {}).items() for number in range(2, count + 1)]
        self.consumers = {name: self._consumer(name) for name in (*self.queues, *more)}
        self.api = self._api()
        self.relay = self._relay()
        self._next_sweep = self.clock.now + RELAY_SECONDS * 1000
        self._idle_ticks = 0

    def place(
        self,
        wanted: Mapping[str, int],
        payment_method: str | None = None,
        key: str | None = None,
        trace_parent: str | None = None,
    ) -> Order:
        """A client's POST. Raises what the API's use case raises, or `Crash`: then the service is started again.

        A tap may call this in the middle of another POST: then a second process of the service answers.
        """
        items = [{"productId": name, "quantity": units} for name, units in wanted.items()]
        body: dict[str, Any] = {"customerId": "CUST-001", "items": items}
        if payment_method:
            body["paymentMethod"] = payment_method
        with self._at("order") as busy:
            api = self._api() if busy else self.api
            try:
                return api.place(body, key, trace_parent).order
            except Crash:
                self.api = self._api()
                raise

    def place_together(self, wanted: Mapping[str, int], payment_methods: Sequence[str]) -> None:
        """Clients' POSTs at the same time, one for each payment method: they share publishes."""
        deferred: list[Outgoing] = []
        api, self.api = self.api, self._api(deferred)
        for payment_method in payment_methods:
            self.place(wanted, payment_method)
        self.api = api
        Publisher(self.ports("order").topic).publish(deferred)

    def step(self, name: str) -> None:
        """One round of one consumer, unless it is at work already (a tap may call this in the middle of its round).

        A crash loses its memory. It is started again at once.
        """
        with self._at(name) as busy:
            if busy:
                return
            try:
                pause = self.consumers[name].step()
                self._wake_at[name] = self.clock.now + round(pause * 1000)
            except Crash:
                self.consumers[name] = self._consumer(name)
                self._wake_at[name] = self.clock.now

    @contextmanager
    def _at(self, name: str) -> Iterator[bool]:
        """Note that ``name`` is at work. Yields whether it already was: a tap may call it in the middle of its work."""
        busy = name in self._at_work
        self._at_work.add(name)
        try:
            yield busy
        finally:
            if not busy:
                self._at_work.discard(name)

    def sweep(self) -> None:
        """One sweep of the relay, which lives in the Order Service's process, unless it is at work already."""
        with suppress(Crash):
            self._let_relay(lambda relay: relay.sweep())

    def look_at(self, order_id: str) -> None:
        """The relay looks at an order, due or not. Raises what the look raises, or `Crash`."""
        self._let_relay(lambda relay: relay.look_at(order_id, Sweep(self.clock.now, self.clock.now)))

    def _let_relay(self, work: Callable[[Relay], object]) -> None:
        with self._at("relay") as busy:
            if busy:
                return
            try:
                work(self.relay)
            except Crash:
                self.relay, self.api = self._relay(), self._api()
                raise

    def run(self, seconds: float) -> None:
        """Let the services work for that long."""
        end = self.clock.now + round(seconds * 1000)
        while self.clock.now < end:
            self.tick()

    def run_until_quiet(self, most_seconds: float = 4 * 3600) -> bool:
        """Let the services work until there is nothing left to do. Returns whether that came within the time."""
        end = self.clock.now + round(most_seconds * 1000)
        while not self.quiet():
            if self.clock.now >= end:
                return False
            self.tick()
        return True

    def tick(self) -> None:
        """Each consumer that is awake makes a round. Then a second passes, or more when nothing can be received."""
        for name in self.consumers:
            if self.awake(name):
                self.step(name)
        if self.relay_enabled and self.clock.now >= self._next_sweep:
            self._next_sweep = self.clock.now + RELAY_SECONDS * 1000
            self.sweep()
        busy = any(queue.depth().waiting for queue in self.queues.values())
        self._idle_ticks = self._idle_ticks + 1 if self.drained() else 0
        idle = LONG_IDLE_SECONDS if self._idle_ticks > LONG_IDLE_TICKS else IDLE_SECONDS
        self.clock.advance(1 if busy else idle)

    def awake(self, name: str) -> bool:
        """Whether the consumer is not waiting for a dependency."""
        return self._wake_at.get(name, 0) <= self.clock.now

    def drained(self) -> bool:
        """Whether no message is waiting or in flight."""
        depths = [queue.depth() for queue in self.queues.values()]
        return not any(depth.waiting or depth.in_flight for depth in depths)

    def quiet(self) -> bool:
        """Whether the queues are drained and (with a relay) no order is open."""
        return self.drained() and not (self.relay_enabled and self.tables.opened)

    def redrive(self) -> None:
        """Send what is in the dead-letter queues back to the queues, once."""
        for name, dlq in self.dlqs.items():
            while dead := dlq.receive(10, 0):
                dlq.delete(dead)
                for message in dead:
                    self.queues[name].send(message.body)

    def _consumer(self, name: str) -> Consumer:
        service, ports = service_of(name), self.ports(name)
        return Consumer(
            handlers.HANDLERS[service](ports, OUTBOX),
            cast(Queue, Tapped(self.queues[service], name, "queue", self._tap)),
            Publisher(ports.topic),
            CONTRACTS,
            CATALOG.services[service].consumes,
            self._never,
            redelivery=Backoff(4, 4, 300, self.random.random),
            retry=Backoff(1, 2, 20, self.random.random),
            pause=Backoff(20, 2, 3600, self.random.random),
            now=lambda: self.clock.now / 1000,
            telemetry=self._telemetry(service),
        )

    def _api(self, deferred: list[Outgoing] | None = None) -> PlaceOrder:
        """The use case. What it would publish is only ``deferred``, if that is given."""
        ports = self.ports("order")
        publish = Publisher(ports.topic).publish if deferred is None else deferred.extend
        return PlaceOrder(
            outbox=OUTBOX,
            products=ProductCache(ports.products, ports.clock),
            orders=ports.orders,
            publish=publish,
            headers=ports.headers,
            new_key=lambda: f"key-{next(self._keys)}",
        )

    def _relay(self) -> Relay:
        ports = self.ports("relay")
        metrics = self._telemetry("order").metrics
        return Relay(ports.orders, ports.audit, Publisher(ports.topic), OUTBOX, ports.clock, metrics)

    def clock_of(self, name: str) -> SkewedClock:
        """The clock that a service sees."""
        return SkewedClock(self.clock, self._skew.get(service_of(name), 0))

    def ports(self, name: str) -> Ports:
        """The view that a service has of the world, through the tap."""

        def tapped(port: str, target: object) -> Any:
            return Tapped(target, name, port, self._tap)

        clock = self.clock_of(name)
        return Ports(
            orders=tapped("orders", self.twins.orders),
            products=tapped("products", self.twins.products),
            audit=tapped("audit", self.twins.audit),
            topic=tapped("topic", self.twins.topic),
            gateway=lambda: tapped("gateway", self.gateway),
            mailer=lambda: tapped("mailer", self.mailer),
            clock=clock,
            headers=HeaderFactory(clock, self.random.randbytes),
            each=map,
        )


def service_of(instance: str) -> str:
    """The service that a consumer belongs to: "payment-2" → "payment"."""
    return instance.split("-")[0]
