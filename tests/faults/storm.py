"""Everything that can go wrong outside ShopFlow's code, decided by one random source."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from shopflow.clock import Clock
from shopflow.domain.event import Event
from shopflow.domain.order import EventType
from shopflow.errors import Contention, Unavailable
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.memory.tables import MemoryAuditLog
from shopflow.ports import Message, Outgoing
from tests.clocks import ManualClock
from tests.faults.lasting import DURATIONS_SECONDS, EVERYTHING, LastingFaults, lose_the_answer, refuse, subjects_of
from tests.faults.nonsense import nonsense_for
from tests.taps import Crash

DEEPEST = 2
"""Interludes within interludes."""
RACES = 3
"""Interludes between a decision and its commit, where races are lost, are so many times as likely as elsewhere."""
LONGEST_DELIVERY_SECONDS = 120
AUDIT_ERRORS: tuple[Callable[[str], Exception], ...] = (Unavailable, Contention, ValueError)


@dataclass(frozen=True, slots=True)
class Rates:
    """How often things go wrong: of calls, of deliveries (``doubled``, ``late``), of a batch's entries (``failed``).

    ``few``: of receives, those that answer with less than there is. ``lasting``: of calls, those that begin a fault
    that lasts; ``nonsense``: of calls of the gateway and the mailer, those that begin a time of nonsense; ``hanging``:
    of calls without an answer, those that take their whole time limit.
    """

    crash: float = 0
    lost: float = 0
    throttled: float = 0
    interlude: float = 0
    doubled: float = 0
    late: float = 0
    failed: float = 0
    few: float = 0
    lasting: float = 0
    nonsense: float = 0
    hanging: float = 0

    @classmethod
    def draw(cls, rand: random.Random) -> Rates:
        """About half of all kinds, so that some runs are about one thing only."""

        def upto(most: float) -> float:
            return rand.random() * most if rand.random() < 0.5 else 0

        often = (0.06, 0.06, 0.1, 0.3, 0.3, 0.4, 0.2, 1, 0.02, 0.3, 0.5)
        return cls(*(upto(most) for most in often))


class Storm:
    """A `Tap` that injects faults while it is ``raging``.

    ``interlude`` does what else happens while a call of the service that it is given is on its way, ``hang`` lets the
    time limit of a call pass. ``note`` is told of each fault.
    ``faults`` counts those that the caller is not told of.
    """

    def __init__(self, rand: random.Random, rates: Rates, now: Callable[[], int], note: Callable[[str], None]) -> None:
        self.raging = True
        self.lasting = LastingFaults(now)
        self.faults = 0
        self.interlude: Callable[[str], None] = lambda _: None
        self.hang: Callable[[], None] = lambda: None
        self._rand = rand
        self._rates = rates
        self._note = note
        self._depth = 0

    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        if not self.raging:
            return call()
        for _ in range(RACES if method == "orders.commit" else 1):
            self._others_go_first(service)
        subjects = subjects_of(method, call)
        self._begin_lasting(method, subjects)
        if lasting := self.lasting.of(method, subjects):
            self._note(f"{service}'s {method}: as for some time now")
            self._hang()
            return lasting.instead(call)
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

    def happens(self, kind: str) -> bool:
        return self.raging and self._rand.random() < getattr(self._rates, kind)

    def stop(self) -> None:
        """Nothing fails any more."""
        self.raging = False
        self.lasting.end_all()

    def some(self, entries: Sequence[Any], what: str, subject: Callable[[Any], str] | None = None) -> list[Any]:
        """The entries of a batch that fail, some of them each time for a while. ``subject``: the order of an entry."""
        subjects = [subject(entry) for entry in entries] if subject and self.raging else []
        self._begin_lasting(what, subjects)
        lasting = {one for one in subjects if self.lasting.of(what, [one])}
        failed = [
            entry for entry in entries if self.happens("failed") or (subject and lasting and subject(entry) in lasting)
        ]
        if failed:
            self._note(f"{len(failed)} of {len(entries)} entries fail: {what}")
        return failed

    def fewer(self, most: int) -> int:
        """How many messages a receive of ``most`` gets."""
        return self._rand.randint(1, 2) if self.happens("few") else most

    def delivery_seconds(self) -> list[float]:
        """When the copies of one message arrive."""
        copies = 2 if self.happens("doubled") else 1
        delays = [self._rand.random() * LONGEST_DELIVERY_SECONDS if self.happens("late") else 0 for _ in range(copies)]
        self.faults += copies - 1 + any(delays)
        return delays

    def _hang(self) -> None:
        if self.happens("hanging"):
            self.hang()

    def _begin_lasting(self, method: str, subjects: Sequence[str]) -> None:
        """Maybe begin a fault of this method: for one of its subjects, or for all."""
        seconds = self._rand.choice(DURATIONS_SECONDS)
        if self.happens("lasting"):
            instead = self._rand.choice((refuse, refuse, lose_the_answer))
            subject = self._rand.choice((*subjects, *subjects, EVERYTHING))
            self.lasting.begin(method, subject, instead, seconds)
            self._note(f"{method} of {subject} fails for {seconds} s")
        elif subjects and (answers := nonsense_for(method)) and self.happens("nonsense"):
            self.lasting.begin(method, subjects[0], self._rand.choice(answers), seconds)
            self._note(f"{method} of {subjects[0]} is nonsense for {seconds} s")

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
        if self._depth < DEEPEST and self.happens("interlude"):
            self._depth += 1
            self.faults += 1
            try:
                self.interlude(service)
            finally:
                self._depth -= 1


class StormyTopic(MemoryTopic):
    """Refuses entries, delivers twice, late and in any order. `deliver` what is due."""

    def __init__(self, storm: Storm, clock: ManualClock) -> None:
        super().__init__()
        self._storm = storm
        self._clock = clock
        self._queues: list[tuple[MemoryQueue, frozenset[EventType]]] = []
        self._on_their_way: list[tuple[int, MemoryQueue, str]] = []

    def subscribe(self, queue: MemoryQueue, event_types: Any = None) -> None:
        self._queues.append((queue, frozenset(EventType if event_types is None else event_types)))

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        refused = self._storm.some(batch, "topic.publish", lambda outgoing: str(outgoing.order_id))
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
    """Hands out less than it has; fails to delete, and to change the visibility of, entries of a batch."""

    def __init__(self, storm: Storm, clock: Clock, name: str, dlq: MemoryQueue) -> None:
        super().__init__(clock, name, dlq=dlq)
        self._storm = storm

    def receive(self, most: int, wait_seconds: int) -> list[Message]:
        return super().receive(self._storm.fewer(most), wait_seconds)

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        failed = self._storm.some(messages, "queue.delete")
        return failed + super().delete([message for message in messages if message not in failed])

    def change_visibility(self, seconds: Mapping[Message, int]) -> list[Message]:
        failed = self._storm.some(list(seconds), "queue.change_visibility")
        return failed + super().change_visibility({one: hidden for one, hidden in seconds.items() if one not in failed})


class StormyAuditLog(MemoryAuditLog):
    """Fails to insert entries of a batch."""

    def __init__(self, storm: Storm, rand: random.Random) -> None:
        super().__init__()
        self._storm = storm
        self._rand = rand

    def insert(self, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:
        failed = self._storm.some(events, "audit.insert", lambda event: str(event.order_id))
        errors = {event.event_id: self._rand.choice(AUDIT_ERRORS)("not inserted") for event in failed}
        return errors | super().insert([event for event in events if event not in failed], stored_at)
