"""Everything that can go wrong outside ShopFlow's code, decided by one random source."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
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
from tests.faults.injections import DAY, Instead, lose_the_answer, nonsense_for, refuse, subjects_of
from tests.taps import Crash

MAX_DEPTH = 2
"""Interludes within interludes."""
RACES = 3
"""An interlude is this many times as likely between a decision and its commit, where races are lost."""
MAX_DELIVERY_SECONDS = 120
EVERYTHING = "*"
"""The subject of a fault of a method as a whole."""
DURATIONS_SECONDS = (5, 60, 600, 3600, 6 * 3600, DAY, 3 * DAY)
AUDIT_ERRORS: tuple[Callable[[str], Exception], ...] = (Unavailable, Contention, ValueError)


MAX_RATES = {
    "crash": 0.06,
    "lost": 0.06,
    "throttled": 0.1,
    "interlude": 0.3,
    "doubled": 0.3,
    "late": 0.4,
    "failed": 0.2,
    "few": 1,
    "lasting": 0.02,
    "nonsense": 0.3,
    "hanging": 0.5,
}
"""How often things go wrong in the worst storm, 0-1.

Of calls: ``crash``, ``lost`` (the answer), ``throttled``, ``interlude``; ``lasting`` and ``nonsense`` begin faults that
last, ``nonsense`` only of the gateway and the mailer; ``hanging``: of calls without an answer, those that take their
whole time limit. Of deliveries: ``doubled``, ``late``. Of a batch's entries: ``failed``. Of receives: ``few``, those
that answer with less than there is.
"""


class Storm:
    """A `Tap` that injects faults until it is stopped: about half of all kinds, so that some runs are about one thing.

    ``interlude(service)`` does what else happens while a call of that service is on its way. ``hang`` lets the time
    limit of a call pass. ``note`` gets a line about each fault. ``faults`` counts those that the caller does not see.
    """

    def __init__(self, rand: random.Random, now: Callable[[], int], note: Callable[[str], None]) -> None:
        self.faults = 0
        self.interlude: Callable[[str], None] = lambda _: None
        self.hang: Callable[[], None] = lambda: None
        self._raging = True
        self._lasting: dict[tuple[str, str], tuple[Instead, int]] = {}
        self._now = now
        self._rand = rand
        self._rates = {kind: rand.random() * most if rand.random() < 0.5 else 0 for kind, most in MAX_RATES.items()}
        self._note = note
        self._depth = 0

    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        if not self._raging:
            return call()
        for _ in range(RACES if method.startswith("orders.commit") else 1):
            self._others_go_first(service)
        subjects = subjects_of(method, call)
        self._begin_lasting(method, subjects)
        if instead := self._lasting_fault(method, subjects):
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
        self._lasting.clear()

    def failed(self, what: str, entries: Sequence[Any], subject: Callable[[Any], str] | None = None) -> list[Any]:
        """The entries of a batch that fail. ``subject``: the order of an entry; it may begin to fail for a while."""
        subjects = [subject(entry) for entry in entries] if subject and self._raging else []
        self._begin_lasting(what, subjects)
        lasting = {one for one in subjects if self._lasting_fault(what, [one])}
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
        return self._raging and self._rand.random() < self._rates[kind]

    def _hang(self) -> None:
        if self._happens("hanging"):
            self.hang()

    def _begin_lasting(self, method: str, subjects: Sequence[str]) -> None:
        """Sometimes, begin a fault of this method: for one of its subjects, or for all."""
        seconds = self._rand.choice(DURATIONS_SECONDS)
        until = self._now() + seconds * 1000
        if self._happens("lasting"):
            instead = self._rand.choice((refuse, refuse, lose_the_answer))
            subject = self._rand.choice((*subjects, *subjects, EVERYTHING))
            self._lasting[method, subject] = (instead, until)
            self._note(f"{method} of {subject} fails for {seconds} s")
        elif subjects and (answers := nonsense_for(method)) and self._happens("nonsense"):
            self._lasting[method, subjects[0]] = (self._rand.choice(answers), until)
            self._note(f"{method} of {subjects[0]} breaks its contract for {seconds} s")

    def _lasting_fault(self, method: str, subjects: Sequence[str]) -> Instead | None:
        for subject in (EVERYTHING, *subjects):
            instead, until = self._lasting.get((method, subject), (None, 0))
            if until > self._now():
                return instead
        return None

    def _fault(self) -> str | None:
        draw, rates = self._rand.random(), self._rates
        crash = rates["crash"] / 2
        for fault, rate in (
            ("crash before", crash),
            ("crash after", crash),
            ("answer lost", rates["lost"]),
            ("throttled", rates["throttled"]),
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
