"""The crash matrix: a scenario is run once to list its calls, then again with one fault at each of them.

Nothing here knows which calls there are: one that is added to the code is covered without a change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shopflow.errors import Contention, Unavailable
from shopflow.invariants import Breach
from tests.clocks import ManualClock
from tests.faults.lasting import subjects_of
from tests.faults.observer import Observer
from tests.faults.scenarios import Scenario
from tests.faults.verdict import breaches_of
from tests.system import CATALOG, System, service_of
from tests.taps import Crash
from tests.twins import wire

MAX_TRIES = 5
"""Of a client, with the same idempotency key."""
PAST_VISIBILITY_SECONDS = 61
LASTING_SECONDS = 600
ROUNDS = 6
"""That the others make meanwhile: enough for an order to go all the way."""

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


def be_overtaken(run: Run, call: partial[Any]) -> Any:
    """All others, a second consumer of the same queue among them, get on with their work first."""
    run.observer.faults += 1
    for _ in range(ROUNDS):
        for name in run.system.consumers:
            run.system.step(name)
        run.system.clock.advance(1)
    return call()


def oversleep(run: Run, call: partial[Any]) -> Any:
    """The process stands still until its messages are visible again, and others have taken them."""
    run.system.clock.advance(PAST_VISIBILITY_SECONDS)
    if run.system.relay_enabled:
        run.system.sweep()
    return be_overtaken(run, call)


def refuse_for_ten_minutes(run: Run, call: partial[Any]) -> Any:
    run.injected.lasts_until = run.system.clock.now + LASTING_SECONDS * 1000
    raise Contention("throttled, as for some time now")


def lose_answers_for_ten_minutes(run: Run, call: partial[Any]) -> Any:
    run.injected.lasts_until = run.system.clock.now + LASTING_SECONDS * 1000
    call()
    raise Unavailable("the answer was lost, as for some time now")


FAULTS: tuple[Act, ...] = (crash_before, crash_after, lose_the_answer, refuse)
"""Of one process alone on its queue."""
LASTING: tuple[Act, ...] = (refuse_for_ten_minutes, lose_answers_for_ten_minutes)
"""Of this call, and of each like it for the same orders."""
DELAYS: tuple[Act, ...] = (be_overtaken, oversleep)
"""Of one of two processes on each queue."""


@dataclass(slots=True)
class AtCall:
    """Does ``act`` instead of the call at ``number``, and lists all calls.

    An act of `LASTING` is also done instead of each call like that one, for the same subjects, until ``lasts_until``.
    """

    number: int | None = None
    act: Act = crash_before
    calls: list[tuple[str, str]] = field(default_factory=list)
    lasts_until: int = 0
    _subjects: list[str] = field(default_factory=list)

    def __call__(self, run: Run, service: str, method: str, call: partial[Any]) -> Any:
        self.calls.append((service, method))
        if self.number == len(self.calls) - 1:
            self._subjects = subjects_of(method, call)
            return self.act(run, call)
        if run.system.clock.now < self.lasts_until and self.number is not None:
            same = self.calls[self.number] == (service, method)
            if same and (not self._subjects or set(self._subjects) & set(subjects_of(method, call))):
                until = self.lasts_until
                try:
                    return self.act(run, call)
                finally:
                    self.lasts_until = until
        return call()


class Run:
    """One run of a scenario with one fault, its clients trying again under their idempotency keys.

    ``accepted``: the orders whose clients were told so.
    """

    def __init__(self, scenario: Scenario, injected: AtCall, *, relay: bool, scale: Mapping[str, int]) -> None:
        self.scenario = scenario
        self.injected = injected
        self.accepted: list[str] = []
        self.observer = Observer(self._tap)
        clock = ManualClock()
        twins = wire(CATALOG, clock, topic=scenario.topic())
        if scenario.rival_comes_at:
            scale = {"inventory": 2, **scale}
        self.system = System(scenario.stock, tap=self.observer, relay=relay, scale=scale, clock=clock, twins=twins)
        self._waiting = list(enumerate(scenario.requests))

    def play(self) -> bool:
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
        run = Run(self.scenario, AtCall(self.number, self.act), relay=self.relay, scale=_scale(self.act))
        found = judged(run)
        assert run.injected.calls[self.number] == self.call, "the run is not the same up to the fault"
        return found


def points(scenario: Scenario, *, relay: bool) -> Iterator[Point]:
    """Every fault at every call that ``scenario`` makes without one."""
    for acts in ((*FAULTS, *LASTING), DELAYS):
        undisturbed = Run(scenario, AtCall(), relay=relay, scale=_scale(acts[0]))
        undisturbed.play()
        for number, call in enumerate(undisturbed.injected.calls):
            yield from (Point(scenario, relay, act, number, call) for act in acts)


def judged(run: Run) -> list[Breach]:
    """Play it. The breaches: without the relay an order may stay open if its event was never published, only then."""
    came_to_rest = run.play()
    if run.injected.act in LASTING:
        run.system.run(LASTING_SECONDS)
        run.system.redrive()
        came_to_rest = run.system.run_until_quiet()
    left_open = set() if run.system.relay_enabled else _unpublished(run)
    found = breaches_of(run.system, run.observer, run.accepted)
    found = [breach for breach in found if not (breach.may_pass and breach.subject in left_open)]
    if not came_to_rest:
        found.append(Breach(1, run.scenario.name, "does not come to rest"))
    ends = Counter(order.status for order in run.system.tables.orders.values())
    if not left_open and ends != Counter(run.scenario.ends):
        found.append(Breach(1, run.scenario.name, f"ends as {dict(ends)}"))
    return found


def _unpublished(run: Run) -> set[str]:
    """The open orders whose event the topic never took; after a lost answer, those whose publisher was not told.

    After a mere delay there are none.
    """
    if run.injected.act in DELAYS:
        return set()
    lost = run.injected.act in (lose_the_answer, lose_answers_for_ten_minutes)
    told = run.observer.acknowledged if lost else run.observer.published
    orders = (run.system.tables.orders[order_id] for order_id in run.system.tables.opened)
    return {order.order_id for order in orders if order.outbox and order.outbox.event_id not in told}


def _scale(act: Act) -> dict[str, int]:
    return {service.name: 2 for service in CATALOG.consumers} if act in DELAYS else {}
