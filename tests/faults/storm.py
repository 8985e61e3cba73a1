"""Everything that can go wrong outside ShopFlow's code, decided by one random source."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from shopflow.clock import Clock
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Transition
from shopflow.errors import Contention, Unavailable
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.memory.tables import MemoryAuditLog, MemoryOrders, Tables
from shopflow.ports import Message, Outgoing
from tests.clocks import ManualClock
from tests.faults.injections import (
    DURATIONS_SECONDS,
    EVERYTHING,
    LastingFaults,
    lose_the_answer,
    nonsense_for,
    refuse,
    subjects_of,
)
from tests.taps import Crash

MAX_DEPTH = 2
"""Interludes within interludes."""
RACES = 3
"""An interlude is this many times as likely between a decision and its commit, where races are lost."""
MAX_DELIVERY_SECONDS = 120
AUDIT_ERRORS: tuple[Callable[[str], Exception], ...] = (Unavailable, Contention, ValueError)


@dataclass(frozen=True, slots=True)
class Rates:
    """How often things go wrong, 0-1.

    Of calls: ``crash``, ``lost`` (the answer), ``throttled``, ``interlude``; ``lasting`` and ``nonsense`` begin faults
    that last, ``nonsense`` only of the gateway and the mailer; ``hanging``: of calls without an answer, those that take
    their whole time limit. Of deliveries: ``doubled``, ``late``. Of a batch's entries: ``failed``. Of receives:
    ``few``, those that answer with less than there is.
    """

    crash: float
    lost: float
    throttled: float
    interlude: float
    doubled: float
    late: float
    failed: float
    few: float
    lasting: float
    nonsense: float
    hanging: float

    @classmethod
    def draw(cls, rand: random.Random) -> Rates:
        """About half of all kinds, so that some runs are about one thing only."""
        most = (0.06, 0.06, 0.1, 0.3, 0.3, 0.4, 0.2, 1, 0.02, 0.3, 0.5)
        return cls(*(rand.random() * rate if rand.random() < 0.5 else 0 for rate in most))


class Storm:
    """A `Tap` that injects faults until it is stopped.

    ``interlude(service)`` does what else happens while a call of that service is on its way. ``hang`` lets the time
    limit of a call pass. ``note`` gets a line about each fault. ``faults`` counts those that the caller does not see.
    """

    def __init__(self, rand: random.Random, rates: Rates, now: Callable[[], int], note: Callable[[str], None]) -> None:
        self.faults = 0
        self.interlude: Callable[[str], None] = lambda _: None
        self.hang: Callable[[], None] = lambda: None
        self._raging = True
        self._lasting = LastingFaults(now)
        self._rand = rand
        self._rates = rates
        self._note = note
        self._depth = 0

    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        if not self._raging:
            return call()
        for _ in range(RACES if method.startswith("orders.commit") else 1):
            self._others_go_first(service)
        subjects = subjects_of(method, call)
        self._begin_lasting(method, subjects)
        if instead := self._lasting.of(method, subjects):
            self._note(f"{service}'s {method} still fails")
            self._hang()
            return instead(call)
        fault = self._fault()
        if fault:
            self._note(f"{service}'s {method}: {fault}")
        if fault == "crash before":
            raise Crash
        if fault in ("throttled", "answer lost"):
            self._hang()
        if fault == "throttled":
            raise self._rand.choice((Contention, Unavailable))("throttled")
        answer = call()
        self._others_go_first(service)
        if fault == "crash after":
            raise Crash
        if fault == "answer lost":
            raise Unavailable("the answer was lost")
        return answer

    def stop(self) -> None:
        """Nothing fails any more."""
        self._raging = False
        self._lasting.end_all()

    def failed(self, what: str, entries: Sequence[Any], subject: Callable[[Any], str] | None = None) -> list[Any]:
        """The entries of a batch that fail. ``subject``: the order of an entry; it may begin to fail for a while."""
        subjects = [subject(entry) for entry in entries] if subject and self._raging else []
        self._begin_lasting(what, subjects)
        lasting = {one for one in subjects if self._lasting.of(what, [one])}
        failed = [
            entry for entry in entries if self._happens("failed") or (subject and lasting and subject(entry) in lasting)
        ]
        if failed:
            self._note(f"{len(failed)} of {len(entries)} entries fail: {what}")
        return failed

    def received(self, most: int) -> int:
        """How many messages a receive of ``most`` gets."""
        return self._rand.randint(1, 2) if self._happens("few") else most

    def delivery_seconds(self) -> list[float]:
        """When the copies of one message arrive."""
        copies = 2 if self._happens("doubled") else 1
        delays = [self._rand.random() * MAX_DELIVERY_SECONDS if self._happens("late") else 0 for _ in range(copies)]
        self.faults += copies - 1 + any(delays)
        return delays

    def _happens(self, kind: str) -> bool:
        return self._raging and self._rand.random() < getattr(self._rates, kind)

    def _hang(self) -> None:
        if self._happens("hanging"):
            self.hang()

    def _begin_lasting(self, method: str, subjects: Sequence[str]) -> None:
        """Sometimes, begin a fault of this method: for one of its subjects, or for all."""
        seconds = self._rand.choice(DURATIONS_SECONDS)
        if self._happens("lasting"):
            instead = self._rand.choice((refuse, refuse, lose_the_answer))
            subject = self._rand.choice((*subjects, *subjects, EVERYTHING))
            self._lasting.begin(method, subject, instead, seconds)
            self._note(f"{method} of {subject} fails for {seconds} s")
        elif subjects and (answers := nonsense_for(method)) and self._happens("nonsense"):
            self._lasting.begin(method, subjects[0], self._rand.choice(answers), seconds)
            self._note(f"{method} of {subjects[0]} breaks its contract for {seconds} s")

    def _fault(self) -> str | None:
        draw = self._rand.random()
        rates = self._rates
        for fault, rate in (
            ("crash before", rates.crash / 2),
            ("crash after", rates.crash / 2),
            ("answer lost", rates.lost),
            ("throttled", rates.throttled),
        ):
            if draw < rate:
                return fault
            draw -= rate
        return None

    def _others_go_first(self, service: str) -> None:
        if self._depth < MAX_DEPTH and self._happens("interlude"):
            self._depth += 1
            self.faults += 1
            try:
                self.interlude(service)
            finally:
                self._depth -= 1


class StormyTopic(MemoryTopic):
    """Refuses entries; delivers twice, late and in any order. `deliver` sends what is due."""

    def __init__(self, storm: Storm, clock: ManualClock) -> None:
        super().__init__()
        self._storm = storm
        self._clock = clock
        self._queues: list[tuple[MemoryQueue, frozenset[EventType]]] = []
        self._on_their_way: list[tuple[int, MemoryQueue, str]] = []

    def subscribe(self, queue: MemoryQueue, event_types: Any = None) -> None:
        self._queues.append((queue, frozenset(EventType if event_types is None else event_types)))

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        refused = self._storm.failed("topic.publish", batch, lambda outgoing: str(outgoing.order_id))
        for outgoing in batch:
            if outgoing not in refused:
                self._send(outgoing)
        self.deliver()
        return frozenset(outgoing.event_id for outgoing in refused)

    def _send(self, outgoing: Outgoing) -> None:
        for queue, event_types in self._queues:
            if outgoing.event_type in event_types:
                for seconds in self._storm.delivery_seconds():
                    due = self._clock.now_ms() + round(seconds * 1000)
                    self._on_their_way.append((due, queue, outgoing.text))

    def deliver(self, *, all_of_them: bool = False) -> None:
        now = self._clock.now_ms()
        waiting, self._on_their_way = self._on_their_way, []
        for due, queue, text in waiting:
            if all_of_them or due <= now:
                queue.send(text)
            else:
                self._on_their_way.append((due, queue, text))


class StormyQueue(MemoryQueue):
    """Returns less than it has; fails to delete, and to change the visibility of, entries of a batch."""

    def __init__(self, storm: Storm, clock: Clock, name: str, dlq: MemoryQueue) -> None:
        super().__init__(clock, name, dlq=dlq)
        self._storm = storm

    def receive(self, most: int, wait_seconds: int) -> list[Message]:
        return super().receive(self._storm.received(most), wait_seconds)

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        failed = self._storm.failed("queue.delete", messages)
        return failed + super().delete([message for message in messages if message not in failed])

    def change_visibility(self, seconds: Mapping[Message, int]) -> list[Message]:
        failed = self._storm.failed("queue.change_visibility", list(seconds))
        return failed + super().change_visibility({one: hidden for one, hidden in seconds.items() if one not in failed})


class StormyOrders(MemoryOrders):
    """Fails single statements of a batch: some are not made, others are made but answer with an error."""

    def __init__(self, tables: Tables, storm: Storm) -> None:
        super().__init__(tables)
        self._storm = storm

    def commit_each(self, transitions: Sequence[Transition]) -> dict[str, Exception]:
        refused = self._storm.failed("orders.commit_each", transitions, lambda one: str(one.before.order_id))
        made = [transition for transition in transitions if transition not in refused]
        errors: dict[str, Exception] = {one.before.order_id: Contention("throttled") for one in refused}
        unanswered = {one.before.order_id: Unavailable("no answer") for one in self._storm.failed("an answer", made)}
        return errors | super().commit_each(made) | unanswered


class StormyAuditLog(MemoryAuditLog):
    """Fails to insert entries of a batch."""

    def __init__(self, storm: Storm, rand: random.Random) -> None:
        super().__init__()
        self._storm = storm
        self._rand = rand

    def insert(self, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:
        failed = self._storm.failed("audit.insert", events, lambda event: str(event.order_id))
        errors = {event.event_id: self._rand.choice(AUDIT_ERRORS)("not inserted") for event in failed}
        return errors | super().insert([event for event in events if event not in failed], stored_at)
