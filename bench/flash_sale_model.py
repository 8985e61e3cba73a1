"""A queueing model of ShopFlow past one machine: queues, worker threads, and the one item that a flash sale is about.

Each worker thread takes batches as the real consumer does. What they contend for is the product's row: a transaction
that finds another one on it is refused (TransactionConflict), and its batch waits as the consumer makes it wait.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import simpy

from bench.flash_sale_parameters import BATCH, WORKERS, Parameters
from bench.flash_sale_scenario import Outcome, Scenario

Steps = Generator[simpy.Event, Any, None]
CREATED, DECLINED = 0, 1


@dataclass(frozen=True, slots=True)
class Message:
    """What a service is told of an order. ``kind`` is `DECLINED` for a payment that failed, to release its stock."""

    order: int
    kind: int = CREATED


class Quota:
    """So many messages a second, and as many at once as one second brings."""

    def __init__(self, env: simpy.Environment, per_second: int) -> None:
        self._env, self._per_second = env, per_second
        self._used_until = 0.0

    def wait(self, messages: int) -> float:
        """Seconds until so many more are let through."""
        self._used_until = max(self._used_until, self._env.now - 1) + messages / self._per_second
        return max(0.0, self._used_until - self._env.now)


class Queue:
    """One service's queue: who waits in it, who is being worked on, and the threads that wait for either."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._waiting: deque[Message] = deque()
        self._idle: deque[simpy.Event] = deque()
        self.in_flight = 0
        self.most_in_flight = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, messages: Iterable[Message]) -> None:
        self._waiting.extend(messages)
        for _ in range(min(len(self._idle), -(-len(self._waiting) // BATCH))):
            self._idle.popleft().succeed()

    def take(self, most: int) -> list[Message]:
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self.in_flight += len(taken)
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return taken

    def arrival(self) -> simpy.Event:
        """Happens when there is something to take, for one thread at a time."""
        event = self._env.event()
        self._idle.append(event)
        return event


class Sale:
    """One run of one scenario; ``seed`` decides all that is drawn."""

    def __init__(self, scenario: Scenario, parameters: Parameters, threads: Mapping[str, int], seed: int = 1) -> None:
        self.env = simpy.Environment()
        self.outcome = Outcome(scenario, threads)
        self._scenario, self._parameters, self._aws = scenario, parameters, parameters.aws
        self._random = random.Random(seed)
        self._queues = {name: Queue(self.env) for name in WORKERS}
        self._stock = [scenario.stock // scenario.rows] * scenario.rows
        self._row_is_free = [True] * scenario.rows
        self._row_of: dict[int, int] = {}
        self._hot = bytearray(self._random.random() < scenario.hot for _ in range(self._orders))
        self._quota = Quota(self.env, parameters.limits.published)
        self._told = 0

    @property
    def _orders(self) -> int:
        return round(self._scenario.orders_per_second * self._scenario.seconds)

    def run(self, sample_seconds: float = 1.0) -> Outcome:
        """Until every order is told of its end, and the stock of every declined one is back."""
        self.env.process(self._clients())
        self.env.process(self._watch(sample_seconds))
        work = {
            "inventory": self._inventory,
            "payment": self._payment,
            "notification": self._notification,
            "audit": self._audit,
        }
        for name, count in self.outcome.threads.items():
            for _ in range(count):
                self.env.process(work[name]())
        counts = self.outcome.counts
        while self._told < self._orders or counts["released"] < counts["declined"]:
            self.env.step()
        self.outcome.done_at = self.env.now
        self.outcome.most_in_flight = max(queue.most_in_flight for queue in self._queues.values())
        return self.outcome

    def _clients(self) -> Steps:
        """Orders come evenly, ten at a time."""
        for first in range(0, self._orders, BATCH):
            batch = [Message(order) for order in range(first, min(first + BATCH, self._orders))]
            self._publish("inventory", batch)
            yield self.env.timeout(BATCH / self._scenario.orders_per_second)

    def _watch(self, every: float) -> Steps:
        while True:
            self.outcome.times.append(self.env.now)
            for name, queue in self._queues.items():
                self.outcome.backlog[name].append(len(queue))
            yield self.env.timeout(every)

    def _publish(self, service: str, messages: Sequence[Message]) -> None:
        """To the service that goes on with it, and to the Audit Service; late, when the quota is used up."""
        if messages:
            self.env.process(self._deliver((service, "audit"), messages))

    def _deliver(self, services: Sequence[str], messages: Sequence[Message]) -> Steps:
        yield self.env.timeout(self._quota.wait(len(messages)))
        self.outcome.published[int(self.env.now)] += len(messages)
        for service in services:
            self._queues[service].put(messages)

    def _batches(self, name: str, most: int = BATCH) -> Generator[simpy.Event, Any, list[Message]]:
        """The next batch of one thread, received."""
        queue = self._queues[name]
        while not (batch := queue.take(most)):
            yield queue.arrival()
        yield self.env.timeout(self._aws.receive * -(-len(batch) // BATCH))
        return batch

    def _done(self, name: str, batch: Sequence[Message]) -> Steps:
        yield self.env.timeout(self._aws.delete * -(-len(batch) // BATCH))
        self._queues[name].in_flight -= len(batch)

    def _cpu(self, name: str, batch: Sequence[Message]) -> float:
        return self._parameters.cpu_seconds_a_message(name) * len(batch)

    def _inventory(self) -> Steps:
        while True:
            batch = yield from self._batches("inventory", BATCH * self._scenario.receives)
            yield self.env.timeout(self._cpu("inventory", batch) + self._aws.read)
            to_do = self._transactions(batch)
            failures = 0
            while to_do:
                to_do = yield from self._attempt(to_do)
                if to_do:  # held, as the consumer holds what was in contention
                    failures += 1
                    pause = replace(self._scenario.pause, rand=self._random.random).delay(failures)
                    yield self.env.timeout(pause + self._aws.read)
            yield self.env.timeout(self._after_commit(batch))
            yield from self._done("inventory", batch)

    def _after_commit(self, batch: Sequence[Message]) -> float:
        """Publishing, and clearing each release from its order's outbox."""
        releases = sum(message.kind == DECLINED for message in batch)
        publish = self._aws.publish * -(-len(batch) // BATCH)
        return publish + (self._aws.read + releases * self._aws.write if releases else 0)

    def _transactions(self, batch: Sequence[Message]) -> list[list[Message]]:
        """The messages of each transaction: one for all new orders, and one for each release unless they share it."""
        new = [message for message in batch if message.kind == CREATED]
        back = [message for message in batch if message.kind == DECLINED]
        releases = [back] if self._scenario.batched_releases else [[message] for message in back]
        return [each for each in (new, *releases) if each]

    def _attempt(self, to_do: list[list[Message]]) -> Generator[simpy.Event, Any, list[list[Message]]]:
        """Try each transaction once. Returns those that were refused for contention."""
        refused = []
        for messages in to_do:
            made = yield from (self._reserve if messages[0].kind == CREATED else self._release)(messages)
            if not made:
                refused.append(messages)
        return refused

    def _reserve(self, messages: list[Message]) -> Generator[simpy.Event, Any, bool]:
        yield self.env.timeout(self._aws.read)
        row = self._random.choice([row for row, units in enumerate(self._stock) if units] or [0])
        wanted = [message for message in messages if self._hot[message.order]]
        granted = wanted[: self._stock[row]]
        if granted and not (yield from self._on_row(row, -len(granted))):
            return False
        if not granted:
            yield self.env.timeout(self._aws.transact)
        for message in granted:
            self._row_of[message.order] = row
        refused = set(wanted[len(granted) :])
        self._publish("payment", [message for message in messages if message not in refused])
        self._publish("notification", list(refused))
        self.outcome.counts["refused"] += len(refused)
        return True

    def _release(self, messages: list[Message]) -> Generator[simpy.Event, Any, bool]:
        back = Counter(self._row_of[message.order] for message in messages if message.order in self._row_of)
        for row, units in back.items():
            if not (yield from self._on_row(row, units)):
                return False
        if not back:
            yield self.env.timeout(self._aws.transact)
        for message in messages:
            self._row_of.pop(message.order, None)
        self.env.process(self._deliver(("audit",), messages))
        self.outcome.counts["released"] += len(messages)
        return True

    def _on_row(self, row: int, units: int) -> Generator[simpy.Event, Any, bool]:
        """One transaction on a row of the hot product: refused when another one is under way."""
        self.outcome.counts["attempts"] += 1
        if not self._row_is_free[row]:
            self.outcome.counts["conflicts"] += 1
            yield self.env.timeout(self._aws.conflict)
            return False
        self._row_is_free[row] = False
        self._stock[row] += units
        yield self.env.timeout(self._aws.transact)
        self._row_is_free[row] = True
        self.outcome.row_writes[row, int(self.env.now)] += 2
        return True

    def _payment(self) -> Steps:
        least, most = self._parameters.gateway_seconds
        while True:
            batch = yield from self._batches("payment")
            slowest = max(self._random.uniform(least, most) for _ in batch)
            fixed = self._aws.read + self._aws.write + self._aws.publish
            yield self.env.timeout(fixed + slowest + self._cpu("payment", batch))
            declined = [one for one in batch if self._random.random() < self._parameters.declined]
            self._publish("notification", batch)
            self._queues["inventory"].put(Message(one.order, DECLINED) for one in declined)
            self.outcome.counts["declined"] += len(declined)
            yield from self._done("payment", batch)

    def _notification(self) -> Steps:
        while True:
            batch = yield from self._batches("notification")
            yield self.env.timeout(self._aws.read + len(batch) * self._aws.write + self._cpu("notification", batch))
            for message in batch:
                self.outcome.latencies.append(self.env.now - message.order / self._scenario.orders_per_second)
            self._told += len(batch)
            yield from self._done("notification", batch)

    def _audit(self) -> Steps:
        while True:
            batch = yield from self._batches("audit")
            yield self.env.timeout(self._aws.write + self._cpu("audit", batch))
            yield from self._done("audit", batch)
