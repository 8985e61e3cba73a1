"""The crash matrix: a scenario runs once to list its calls, then again with one fault at each of them.

Nothing here knows which calls there are: a new call in the code is covered without a change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from shopflow.errors import Unavailable
from shopflow.invariants import Breach
from tests.faults.injections import Instead, crash_after, crash_before, lose_the_answer, refuse, subjects_of
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.verdict import Trial, WatchedSystem
from tests.system import CATALOG, service_of
from tests.taps import Crash

CASES = [(scenario, relay) for scenario in SCENARIOS for relay in (True, False) if relay or not scenario.needs_relay]
"""Each scenario with and without the relay, where it can end without."""
MAX_TRIES = 5
"""Tries of a client, with the same idempotency key."""
PAST_VISIBILITY_SECONDS = 61
ROUNDS = 6
"""Rounds of all other services while one is delayed: enough for an order to reach its end."""


def be_overtaken(system: WatchedSystem) -> None:
    """All other services make some rounds first, a second consumer of the same queue among them."""
    system.observer.faults += 1
    for _ in range(ROUNDS):
        for name in system.consumers:
            system.step(name)
        system.clock.advance(1)


def oversleep(system: WatchedSystem) -> None:
    """The process stands still until its messages are visible again and others have taken them."""
    system.clock.advance(PAST_VISIBILITY_SECONDS)
    if system.relay_enabled:
        system.sweep()
    be_overtaken(system)


@dataclass(frozen=True, slots=True)
class Fault:
    """``instead`` of a call, and for so many ``seconds`` of each later call like it, for the same orders.

    A ``delay`` comes before the call, and with it there are two processes on each queue.
    """

    name: str
    instead: Instead = partial.__call__
    seconds: int = 0
    delay: Callable[[WatchedSystem], None] | None = None


NOTHING = Fault("nothing")
FAULTS = (
    Fault("crash_before", crash_before),
    Fault("crash_after", crash_after),
    Fault("lose_the_answer", lose_the_answer),
    Fault("refuse", refuse),
    Fault("refuse_for_ten_minutes", refuse, seconds=600),
    Fault("lose_answers_for_ten_minutes", lose_the_answer, seconds=600),
)
DELAYS = (Fault("be_overtaken", delay=be_overtaken), Fault("oversleep", delay=oversleep))


class Run:
    """One run of a scenario with a fault at one of its ``calls``. Clients try again under their idempotency keys."""

    def __init__(self, scenario: Scenario, relay: bool, fault: Fault = NOTHING, number: int | None = None) -> None:
        self.calls: list[tuple[str, str]] = []
        self._scenario = scenario
        self._fault = fault
        self._number = number
        self._subjects: set[str] = set()
        self._ends = 0
        scale = {"inventory": 2} if scenario.rival_comes_at else {}
        if fault.delay:
            scale = {service.name: 2 for service in CATALOG.consumers}
        topic = scenario.topic()
        self.system = WatchedSystem(scenario.stock, self._tap, relay=relay, scale=scale, topic=topic)
        self._waiting = list(enumerate(scenario.requests))

    def breaches(self) -> list[Breach]:
        """Play it. Without the relay an order may stay open, but only if its event was never published."""
        self._play()
        if self._fault.seconds:
            self.system.run_until_quiet()
            self.system.run(self._fault.seconds)
            self.system.redrive()
        found = self.system.breaches()
        left_open = set() if self.system.relay_enabled else self._unpublished()
        found = [breach for breach in found if not (breach.may_pass and breach.subject in left_open)]
        ends = Counter(order.status for order in self.system.tables.orders.values())
        if not left_open and ends != Counter(self._scenario.ends):
            found.append(Breach(1, self._scenario.name, f"ends as {dict(ends)}"))
        return found

    def _play(self) -> None:
        """Place the orders: the rival's when it comes, or else after the others are finished."""
        kept_back = 1 if self._scenario.rival_comes_at else 0
        while len(self._waiting) > kept_back:
            self._place_next()
        if self._waiting:
            self.system.run_until_quiet()
        if self._waiting:
            self._place_next()

    def _place_next(self) -> None:
        number, (wanted, payment_method) = self._waiting.pop(0)
        for _ in range(MAX_TRIES):
            try:
                self.system.place(wanted, payment_method, f"key of client {number}")
                return
            except (Crash, Unavailable):
                self.system.clock.advance(self._fault.seconds / 2)

    def _tap(self, service: str, method: str, call: partial[Any]) -> Any:
        if len(self._waiting) == 1 and (service_of(service), method) == self._scenario.rival_comes_at:
            self._place_next()
            for name in self.system.consumers:
                if service_of(name) == service_of(service):
                    self.system.step(name)
        self.calls.append((service, method))
        now = self.system.clock.now
        if self._number == len(self.calls) - 1:
            self._subjects = set(subjects_of(method, call))
            self._ends = now + self._fault.seconds * 1000
            if self._fault.delay:
                self._fault.delay(self.system)
            return self._fault.instead(call)
        lasts = self._number is not None and now < self._ends and self.calls[self._number] == (service, method)
        if lasts and (not self._subjects or self._subjects & set(subjects_of(method, call))):
            return self._fault.instead(call)
        return call()

    def _unpublished(self) -> set[str]:
        """The open orders whose event the topic never accepted; after a lost answer, whose publisher does not know.

        After a delay there are none.
        """
        if self._fault.delay:
            return set()
        observer = self.system.observer
        known = observer.acknowledged if self._fault.instead is lose_the_answer else observer.published
        orders = (self.system.tables.orders[order_id] for order_id in self.system.tables.opened)
        return {order.order_id for order in orders if order.outbox and order.outbox.event_id not in known}


def undisturbed(scenario: Scenario, relay: bool) -> Trial:
    return Trial(f"{scenario.name}, no fault", lambda: Run(scenario, relay).breaches())


def points(scenario: Scenario, relay: bool) -> Iterator[Trial]:
    """Every fault at every call that ``scenario`` makes without one."""
    for faults in (FAULTS, DELAYS):
        recorded = Run(scenario, relay, faults[0])
        recorded.breaches()
        for number, call in enumerate(recorded.calls):
            yield from (_point(scenario, relay, fault, number, call) for fault in faults)


def _point(scenario: Scenario, relay: bool, fault: Fault, number: int, call: tuple[str, str]) -> Trial:
    def breaches() -> list[Breach]:
        run = Run(scenario, relay, fault, number)
        found = run.breaches()
        assert run.calls[number] == call, "the run is not the same up to the fault"
        return found

    service, method = call
    case = f"{scenario.name}, {'relay' if relay else 'no relay'}"
    return Trial(f"{case}: {fault.name} at call {number}, {service}'s {method}", breaches)
