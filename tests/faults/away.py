"""A service that is away for longer than SQS keeps its messages: the order ends all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shopflow.invariants import Breach
from tests.clocks import ManualClock
from tests.faults.lasting import DAY
from tests.faults.observer import Observer
from tests.faults.scenarios import EXPIRED, VISA, RefusingTopic
from tests.faults.verdict import breaches_of
from tests.system import CATALOG, System
from tests.twins import wire

AWAY_SECONDS = 15 * DAY
BEFORE_SECONDS = 120
"""What the others do with the order in the meantime takes no longer."""


@dataclass(frozen=True, slots=True)
class Absence:
    """``services`` are away from before the order is placed."""

    services: frozenset[str]
    payment_method: str

    def __str__(self) -> str:
        return f"{' and '.join(sorted(self.services))} away for {AWAY_SECONDS // DAY} days ({self.payment_method})"

    def breaches(self) -> list[Breach]:
        """What of the invariants does not hold once all are back."""
        observer = Observer(relay_now=lambda: system.clock.now)
        system = System({"A": 5}, tap=observer)
        order_id = system.place({"A": 1}, self.payment_method).order_id
        for _ in range(BEFORE_SECONDS):
            for name in system.consumers:
                if name not in self.services:
                    system.step(name)
            system.clock.advance(1)
        system.sweep()
        system.clock.advance(AWAY_SECONDS)
        if not system.run_until_quiet(30 * DAY):
            return [Breach(1, order_id, "does not come to rest")]
        return breaches_of(system, observer, [order_id])


@dataclass(frozen=True, slots=True)
class WrongClock:
    """The Order Service's clock is ``days`` off, and the topic takes no event the first time."""

    days: int

    def __str__(self) -> str:
        return f"the Order Service's clock is {self.days:+} days off"

    def breaches(self) -> list[Breach]:
        """What of the invariants does not hold within a day."""
        observer = Observer(relay_now=lambda: system.clock.now)
        observer.clocks_lie = True
        clock = ManualClock()
        twins = wire(CATALOG, clock, topic=RefusingTopic())
        system = System({"A": 5}, tap=observer, skew={"order": self.days * DAY * 1000}, clock=clock, twins=twins)
        order_id = system.place({"A": 1}, VISA).order_id
        if not system.run_until_quiet(DAY):
            return [Breach(1, order_id, "does not come to rest")]
        return breaches_of(system, observer, [order_id])


def wrong_clocks() -> Iterator[WrongClock]:
    yield from map(WrongClock, (-400, -1, 1, 400))


def absences() -> Iterator[Absence]:
    for payment_method in (VISA, EXPIRED):
        for services in ("inventory", "payment", "notification"):
            yield Absence(frozenset({services}), payment_method)
            yield Absence(frozenset({services, "audit"}), payment_method)
