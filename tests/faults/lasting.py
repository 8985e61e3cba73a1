"""Faults that last for half a day or longer: one order cannot hurt another, and no order is lost.

An order runs once without a fault, to list the calls about it and about its product. Then each of these calls fails for
half a day, for that order alone, while other orders are placed with it and after it. Rows are damaged, services are
away and clocks are wrong for as long, or longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from api.placing import order_id
from shopflow.aws.items import Item
from shopflow.errors import InvalidRequest, Unavailable
from shopflow.invariants import Breach
from shopflow.memory.tables import Rows
from tests.clocks import ManualClock
from tests.faults.injections import (
    DAMAGE_TO_ORDERS,
    DAMAGE_TO_PRODUCTS,
    DAY,
    DamagedRow,
    Instead,
    lose_the_answer,
    nonsense_for,
    refuse,
    subjects_of,
)
from tests.faults.scenarios import EXPIRED, VISA, RefusingTopic
from tests.faults.verdict import Observer, breaches_of
from tests.system import CATALOG, System, service_of
from tests.twins import wire

HALF_A_DAY = 12 * 3600
SOON, SOON_WITH_RELAY = 600, 2 * 3600
"""Seconds within which the neighbours must finish; the longer one where the relay makes every step."""
KEY = "the client whose order has the fault"
ORDER, PRODUCT = order_id(KEY, 0), "A"
"""The order with the fault, and the product that only it has. The neighbours share product B."""
STOCK = {PRODUCT: 5, "B": 1000}
NEIGHBOURS = 12
METHODS = (VISA, EXPIRED)


def break_down(call: partial[Any]) -> Any:
    """An error that nobody foresaw."""
    raise KeyError("unforeseen")


@dataclass(frozen=True, slots=True)
class Case:
    """``instead`` of each call of ``method`` by ``service`` that is about ``subject``.

    ``refused``: the topic refuses each event the first time, so that the relay makes every step.
    """

    payment_method: str
    refused: bool
    service: str = ""
    method: str = ""
    subject: str = ""
    instead: Instead = partial.__call__

    def __str__(self) -> str:
        what = getattr(self.instead, "__name__", "nonsense")
        refused = ", every event refused at first" if self.refused else ""
        return f"{self.service}'s {self.method} about {self.subject}: {what} ({self.payment_method}{refused})"

    def breaches(self) -> list[Breach]:
        """What of the invariants does not hold, and which neighbours had to wait."""
        return CaseRun(self).breaches()


class CaseRun:
    def __init__(self, case: Case) -> None:
        self.calls: dict[tuple[str, str, str], None] = {}
        self.observer = Observer(self._tap, lambda: self.system.clock.now)
        clock = ManualClock()
        twins = wire(CATALOG, clock, topic=RefusingTopic() if case.refused else None)
        self.system = System(STOCK, tap=self.observer, clock=clock, twins=twins)
        self._case = case
        self._ends = self.system.clock.now + HALF_A_DAY * 1000

    def breaches(self) -> list[Breach]:
        self._place()
        neighbours = _place_neighbours(self.system)
        self.system.run(60)
        neighbours += _place_neighbours(self.system)
        self.system.run(SOON_WITH_RELAY if self._case.refused else SOON)
        breaches = [
            Breach(1, one.order_id, f"still waits as {one.status} because of another order")
            for one in self.system.twins.orders.read(neighbours).values()
            if one.opened_at is not None
        ]
        if self._case.instead is break_down and self._case.method == "topic.publish" and not self._case.refused:
            left = sorted(self.observer.left_to_the_relay & set(neighbours))
            breaches += [Breach(1, one, "had to wait for the relay because of another order") for one in left]
        self.system.run((self._ends - self.system.clock.now) / 1000 - 60)
        if self._case.instead in (refuse, lose_the_answer):
            breaches += [
                Breach(5, service, "holds a message whose dependency was down")
                for service, dlq in self.system.dlqs.items()
                if dlq.depth().waiting
            ]
        self.system.run(60)
        self._place()
        self.system.run_until_quiet(HALF_A_DAY)
        self.system.redrive()
        return breaches + _breaches_at_rest(self.system, self.observer, neighbours, HALF_A_DAY)

    def _place(self) -> None:
        try:
            self.system.place({PRODUCT: 1}, self._case.payment_method, KEY)
        except (Unavailable, InvalidRequest, KeyError):
            return  # the client tries again in half a day

    def _tap(self, service: str, method: str, call: partial[Any]) -> Any:
        case, subjects = self._case, self._subjects(method, call)
        self.calls |= {(service_of(service), method, one): None for one in subjects}
        is_meant = (case.service, case.method) == (service_of(service), method) and case.subject in subjects
        return case.instead(call) if is_meant and self.system.clock.now < self._ends else call()

    @staticmethod
    def _subjects(method: str, call: partial[Any]) -> list[str]:
        """The order or product with the fault, if the call is about it, alone or in a batch."""
        if method in ("topic.publish", "audit.insert"):
            found = [str(entry.order_id) for entry in call.args[0]]
        else:
            found = subjects_of(method, call)
        return [one for one in (ORDER, PRODUCT) if one in found]


def cases() -> Iterator[Case]:
    """Each fault at each call about one order, for a paid and a declined order."""
    for payment_method, refused in product(METHODS, (False, True)):
        undisturbed = CaseRun(Case(payment_method, refused))
        undisturbed.breaches()
        for service, method, subject in undisturbed.calls:
            for instead in (refuse, lose_the_answer, break_down, *nonsense_for(method)):
                yield Case(payment_method, refused, service, method, subject, instead)


@dataclass(frozen=True, slots=True)
class Damage:
    """Somebody overwrites an attribute of one order, or of its product, and repairs it half a day later."""

    of_order: bool
    name: str
    wrong: Item

    def __str__(self) -> str:
        return f"{'an order' if self.of_order else 'a product'} with {self.name} {dict(self.wrong)}"

    def breaches(self) -> list[Breach]:
        observer = Observer(relay_now=lambda: system.clock.now)
        system = System(STOCK, tap=observer)
        order = system.place({PRODUCT: 1}, VISA)
        rows: Rows[Any] = system.tables.orders if self.of_order else system.tables.products
        row = DamagedRow.damage(rows, order.order_id if self.of_order else PRODUCT, self.name, self.wrong)
        neighbours = _place_neighbours(system)
        system.run(SOON)
        waiting = [one for one in neighbours if one in system.tables.opened]
        system.run(HALF_A_DAY)
        row.repair()
        system.redrive()
        breaches = [Breach(1, one, "waits because of a row that is not its own") for one in waiting]
        return breaches + _breaches_at_rest(system, observer, [order.order_id, *neighbours], HALF_A_DAY)


def damaged_rows() -> Iterator[Damage]:
    yield from (Damage(True, name, wrong) for name, wrong in DAMAGE_TO_ORDERS if name != "releasedAt")
    yield from (Damage(False, name, wrong) for name, wrong in DAMAGE_TO_PRODUCTS)


@dataclass(frozen=True, slots=True)
class Absence:
    """``services`` are away for 15 days, longer than SQS keeps their messages."""

    services: frozenset[str]
    payment_method: str

    def __str__(self) -> str:
        return f"{' and '.join(sorted(self.services))} away for 15 days ({self.payment_method})"

    def breaches(self) -> list[Breach]:
        observer = Observer(relay_now=lambda: system.clock.now)
        system = System({"A": 5}, tap=observer)
        order = system.place({"A": 1}, self.payment_method)
        for _ in range(120):  # seconds: enough for the other services to process what they can
            for name in system.consumers:
                if name not in self.services:
                    system.step(name)
            system.clock.advance(1)
        system.sweep()
        system.clock.advance(15 * DAY)
        return _breaches_at_rest(system, observer, [order.order_id], 30 * DAY)


def absences() -> Iterator[Absence]:
    for payment_method, service in product(METHODS, ("inventory", "payment", "notification")):
        yield Absence(frozenset({service}), payment_method)
        yield Absence(frozenset({service, "audit"}), payment_method)


@dataclass(frozen=True, slots=True)
class WrongClock:
    """The Order Service's clock is ``days`` off, and the topic refuses each event the first time."""

    days: int

    def __str__(self) -> str:
        return f"the Order Service's clock is {self.days:+} days off"

    def breaches(self) -> list[Breach]:
        observer = Observer(relay_now=lambda: system.clock.now)
        observer.clocks_lie = True
        clock = ManualClock()
        twins = wire(CATALOG, clock, topic=RefusingTopic())
        system = System({"A": 5}, tap=observer, skew={"order": self.days * DAY * 1000}, clock=clock, twins=twins)
        order = system.place({"A": 1}, VISA)
        return _breaches_at_rest(system, observer, [order.order_id], DAY)


def wrong_clocks() -> Iterator[WrongClock]:
    yield from map(WrongClock, (-400, -1, 1, 400))


def _place_neighbours(system: System) -> list[str]:
    return [system.place({"B": 1}, METHODS[number % 2]).order_id for number in range(NEIGHBOURS)]


def _breaches_at_rest(system: System, observer: Observer, accepted: list[str], max_seconds: float) -> list[Breach]:
    """The breaches once nothing is left to do, which must be within ``max_seconds``."""
    if not system.run_until_quiet(max_seconds):
        return [Breach(1, accepted[0], "does not come to rest"), *breaches_of(system, observer, accepted)]
    return breaches_of(system, observer, accepted)
