"""The crash matrix: a scenario runs once to list its calls, then again with one fault at each of them.

Nothing here knows which calls there are: a new call in the code is covered without a change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shopflow.errors import Contention, Unavailable
from shopflow.invariants import Breach
from tests.clocks import ManualClock
from tests.faults.injections import subjects_of
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.verdict import Observer, breaches_of
from tests.system import CATALOG, System, service_of
from tests.taps import Crash
from tests.twins import wire

CASES = [(scenario, relay) for scenario in SCENARIOS for relay in (True, False) if relay or not scenario.needs_relay]
"""Each scenario with and without the relay, where it can end without."""
MAX_TRIES = 5
"""Tries of a client, with the same idempotency key."""
PAST_VISIBILITY_SECONDS = 61
LASTING_SECONDS = 600
ROUNDS = 6
"""Rounds of all other services while one is delayed: enough for an order to reach its end."""

Act = Callable[["Run", partial[Any]], Any]


def crash_before(run: Run, call: partial[Any]) -> Any:
    raise Crash


def crash_after(run: Run, call: partial[Any]) -> Any:
    call()
    raise Crash


def lose_the_answer(run: Run, call: partial[Any]) -> Any:
    call()
    raise Unavailable("the answer was lost")


def refuse(run: Run, call: partial[Any]) -> Any:
    raise Contention("throttled")


def refuse_for_ten_minutes(run: Run, call: partial[Any]) -> Any:
    raise Contention("throttled for ten minutes")


def lose_answers_for_ten_minutes(run: Run, call: partial[Any]) -> Any:
    call()
    raise Unavailable("the answers are lost for ten minutes")


def be_overtaken(run: Run, call: partial[Any]) -> Any:
    """All other services make some rounds first, a second consumer of the same queue among them."""
    run.observer.faults += 1
    for _ in range(ROUNDS):
        for name in run.system.consumers:
            run.system.step(name)
        run.system.clock.advance(1)
    return call()


def oversleep(run: Run, call: partial[Any]) -> Any:
    """The process stands still until its messages are visible again and others have taken them."""
    run.system.clock.advance(PAST_VISIBILITY_SECONDS)
    if run.system.relay_enabled:
        run.system.sweep()
    return be_overtaken(run, call)


ONCE: tuple[Act, ...] = (crash_before, crash_after, lose_the_answer, refuse)
LASTING: tuple[Act, ...] = (refuse_for_ten_minutes, lose_answers_for_ten_minutes)
"""Also done instead of each later call like that one, for the same orders, for ten minutes."""
DELAYS: tuple[Act, ...] = (be_overtaken, oversleep)
"""Faults with two processes on each queue. Those above have one."""


@dataclass(slots=True)
class AtCall:
    """Does ``act`` instead of the call at ``number``, and lists all calls."""

    number: int | None = None
    act: Act = crash_before
    calls: list[tuple[str, str]] = field(default_factory=list)
    _ends: int = 0
    _subjects: list[str] = field(default_factory=list)

    def __call__(self, run: Run, service: str, method: str, call: partial[Any]) -> Any:
        self.calls.append((service, method))
        now = run.system.clock.now
        if self.number == len(self.calls) - 1:
            self._subjects = subjects_of(method, call)
            self._ends = now + LASTING_SECONDS * 1000 if self.act in LASTING else now
            return self.act(run, call)
        lasts = self.number is not None and now < self._ends and self.calls[self.number] == (service, method)
        if lasts and (not self._subjects or set(self._subjects) & set(subjects_of(method, call))):
            return self.act(run, call)
        return call()


class Run:
    """One run of a scenario with one fault. Clients try again under their idempotency keys."""

    def __init__(self, scenario: Scenario, injected: AtCall, *, relay: bool) -> None:
        self.scenario = scenario
        self.injected = injected
        self.accepted: list[str] = []
        self.observer = Observer(self._tap)
        clock = ManualClock()
        twins = wire(CATALOG, clock, topic=scenario.topic())
        scale = {"inventory": 2} if scenario.rival_comes_at else {}
        if injected.act in DELAYS:
            scale = {service.name: 2 for service in CATALOG.consumers}
        self.system = System(scenario.stock, tap=self.observer, relay=relay, scale=scale, clock=clock, twins=twins)
        self._waiting = list(enumerate(scenario.requests))

    def breaches(self) -> list[Breach]:
        """Play it. Without the relay an order may stay open, but only if its event was never published."""
        came_to_rest = self._play()
        if self.injected.act in LASTING:
            self.system.run(LASTING_SECONDS)
            self.system.redrive()
            came_to_rest = self.system.run_until_quiet()
        left_open = set() if self.system.relay_enabled else self._unpublished()
        found = breaches_of(self.system, self.observer, self.accepted)
        found = [breach for breach in found if not (breach.may_pass and breach.subject in left_open)]
        if not came_to_rest:
            found.append(Breach(1, self.scenario.name, "does not come to rest"))
        ends = Counter(order.status for order in self.system.tables.orders.values())
        if not left_open and ends != Counter(self.scenario.ends):
            found.append(Breach(1, self.scenario.name, f"ends as {dict(ends)}"))
        return found

    def _play(self) -> bool:
        """Place the orders and let the services work. Returns whether they came to rest."""
        kept_back = 1 if self.scenario.rival_comes_at else 0
        while len(self._waiting) > kept_back:
            self._place_next()
        came_to_rest = self.system.run_until_quiet()
        if not self._waiting:
            return came_to_rest
        self._place_next()
        return self.system.run_until_quiet()

    def _tap(self, service: str, method: str, call: partial[Any]) -> Any:
        if len(self._waiting) == 1 and (service_of(service), method) == self.scenario.rival_comes_at:
            self._place_next()
            for name in self.system.consumers:
                if service_of(name) == service_of(service):
                    self.system.step(name)
        return self.injected(self, service, method, call)

    def _place_next(self) -> None:
        number, (wanted, payment_method) = self._waiting.pop(0)
        for _ in range(MAX_TRIES):
            try:
                self.accepted.append(self.system.place(wanted, payment_method, f"key of client {number}").order_id)
                return
            except (Crash, Unavailable):
                if self.injected.act in LASTING:
                    self.system.clock.advance(LASTING_SECONDS / 2)

    def _unpublished(self) -> set[str]:
        """The open orders whose event the topic never accepted; after a lost answer, whose publisher does not know.

        After a delay there are none.
        """
        if self.injected.act in DELAYS:
            return set()
        lost = self.injected.act in (lose_the_answer, lose_answers_for_ten_minutes)
        known = self.observer.acknowledged if lost else self.observer.published
        orders = (self.system.tables.orders[order_id] for order_id in self.system.tables.opened)
        return {order.order_id for order in orders if order.outbox and order.outbox.event_id not in known}


@dataclass(frozen=True, slots=True)
class Point:
    """One fault at one call of one scenario."""

    scenario: Scenario
    relay: bool
    act: Act
    number: int
    call: tuple[str, str]

    def __str__(self) -> str:
        service, method = self.call
        relay = "relay" if self.relay else "no relay"
        return f"{self.scenario.name}, {relay}: {self.act.__name__} at call {self.number}, {service}'s {method}"

    def breaches(self) -> list[Breach]:
        """What of the invariants does not hold after it."""
        run = Run(self.scenario, AtCall(self.number, self.act), relay=self.relay)
        found = run.breaches()
        assert run.injected.calls[self.number] == self.call, "the run is not the same up to the fault"
        return found


def points(scenario: Scenario, *, relay: bool) -> Iterator[Point]:
    """Every fault at every call that ``scenario`` makes without one."""
    for acts in ((*ONCE, *LASTING), DELAYS):
        undisturbed = Run(scenario, AtCall(act=acts[0]), relay=relay)
        undisturbed.breaches()
        for number, call in enumerate(undisturbed.injected.calls):
            yield from (Point(scenario, relay, act, number, call) for act in acts)


def breaches_undisturbed(scenario: Scenario, relay: bool) -> list[Breach]:
    """What of the invariants does not hold although nothing failed."""
    return Run(scenario, AtCall(), relay=relay).breaches()
