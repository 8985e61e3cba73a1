"""One order cannot hurt another: each call about one order fails for half a day, and the orders beside it finish.

An order is played once without a fault, to list the calls about it and about its product. Then each of these calls
fails, for that order alone, while others are placed with it and after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from tests.faults.lasting import lose_the_answer, refuse, subjects_of
from tests.faults.nonsense import SPOILED_ORDERS, SPOILED_PRODUCTS, Spoiled, nonsense_for
from tests.faults.observer import Observer
from tests.faults.scenarios import EXPIRED, VISA, RefusingTopic
from tests.faults.verdict import breaches_of
from tests.system import CATALOG, System, service_of
from tests.twins import wire

Instead = Callable[[partial[Any]], Any]

HALF_A_DAY = 12 * 3600
SOON, SOON_ENOUGH = 600, 2 * 3600
"""Seconds within which the neighbours must be finished; the longer one is for those whose every step is the relay's."""
KEY = "the client whose order has the fault"
STUCK, PRODUCT = order_id(KEY, 0), "A"
NEIGHBOURS = 12
METHODS = (VISA, EXPIRED)


def break_down(call: partial[Any]) -> Any:
    """An error that nobody foresaw."""
    raise KeyError("unforeseen")


@dataclass(frozen=True, slots=True)
class Case:
    """``instead`` of each call of ``method`` by ``service`` that is about ``subject``.

    ``unheard``: the topic takes no event the first time, so that every step is the relay's business.
    """

    payment_method: str
    unheard: bool
    service: str = ""
    method: str = ""
    subject: str = ""
    instead: Instead = partial.__call__

    def __str__(self) -> str:
        what = getattr(self.instead, "__name__", "nonsense")
        unheard = ", every event refused at first" if self.unheard else ""
        return f"{self.service}'s {self.method} about {self.subject}: {what} ({self.payment_method}{unheard})"

    def breaches(self) -> list[Breach]:
        """What of the invariants does not hold, and which neighbours had to wait."""
        return Run(self).play()


class Run:
    """One order has product A to itself, and ``case`` happens to it; its neighbours share product B."""

    def __init__(self, case: Case) -> None:
        self.calls: dict[tuple[str, str, str], None] = {}
        self.observer = Observer(self._tap, lambda: self.system.clock.now)
        clock = ManualClock()
        twins = wire(CATALOG, clock, topic=RefusingTopic() if case.unheard else None)
        self.system = System({PRODUCT: 5, "B": 1000}, tap=self.observer, clock=clock, twins=twins)
        self._case = case
        self._until = self.system.clock.now + HALF_A_DAY * 1000

    def play(self) -> list[Breach]:
        self._place_stuck()
        neighbours = self._place_neighbours()
        self.system.run(60)
        neighbours += self._place_neighbours()
        soon = SOON_ENOUGH if self._case.unheard else SOON
        self.system.run(soon)
        breaches = [
            Breach(1, one.order_id, f"waits as {one.status} for {soon} s because of another order")
            for one in self.system.twins.orders.read(neighbours).values()
            if one.opened_at is not None
        ]
        if (self._case.method, self._case.instead) == ("topic.publish", break_down):
            left = self.observer.left_to_the_relay & set(neighbours) if not self._case.unheard else set()
            breaches += [Breach(1, one, "had to wait for the relay because of another order") for one in sorted(left)]
        self.system.run(HALF_A_DAY - self._seconds_gone() - 60)
        if self._case.instead in (refuse, lose_the_answer):
            breaches += [
                Breach(5, service, "holds a message whose dependency was down")
                for service, dlq in self.system.dlqs.items()
                if dlq.depth().waiting
            ]
        self.system.run(60)
        self._place_stuck()
        self.system.run_until_quiet(HALF_A_DAY)
        self.system.redrive()
        if not self.system.run_until_quiet(HALF_A_DAY):
            breaches.append(Breach(1, str(self._case), "does not come to rest"))
        return breaches + breaches_of(self.system, self.observer, neighbours)

    def _seconds_gone(self) -> float:
        """Since the fault began."""
        return HALF_A_DAY - (self._until - self.system.clock.now) / 1000

    def _place_stuck(self) -> None:
        try:
            self.system.place({PRODUCT: 1}, self._case.payment_method, KEY)
        except (Unavailable, InvalidRequest, KeyError):
            return  # its client asks again in half a day

    def _place_neighbours(self) -> list[str]:
        return [self.system.place({"B": 1}, METHODS[number % 2]).order_id for number in range(NEIGHBOURS)]

    def _tap(self, service: str, method: str, call: partial[Any]) -> Any:
        case, subjects = self._case, _subjects(method, call)
        self.calls |= {(service_of(service), method, one): None for one in subjects}
        is_meant = (case.service, case.method) == (service_of(service), method) and case.subject in subjects
        return case.instead(call) if is_meant and self.system.clock.now < self._until else call()


def _subjects(method: str, call: partial[Any]) -> list[str]:
    """The order or product with the fault, if the call is about it, be it one of a batch."""
    found = subjects_of(method, call)
    if method in ("topic.publish", "audit.insert"):
        found = [str(entry.order_id) for entry in call.args[0]]
    return [one for one in (STUCK, PRODUCT) if one in found]


def cases() -> Iterator[Case]:
    """Each fault at each call that an order's way makes, for a paid order and a declined one."""
    for payment_method, unheard in product(METHODS, (False, True)):
        undisturbed = Run(Case(payment_method, unheard))
        undisturbed.play()
        for service, method, subject in undisturbed.calls:
            for instead in (refuse, lose_the_answer, break_down, *nonsense_for(method)):
                yield Case(payment_method, unheard, service, method, subject, instead)


@dataclass(frozen=True, slots=True)
class SpoiledRow:
    """Somebody overwrites an attribute of one order, or of its product, by hand, and mends it half a day later."""

    of_order: bool
    name: str
    wrong: Item

    def __str__(self) -> str:
        return f"{'an order' if self.of_order else 'a product'} with {self.name} {dict(self.wrong)}"

    def breaches(self) -> list[Breach]:
        observer = Observer(relay_now=lambda: system.clock.now)
        system = System({PRODUCT: 5, "B": 1000}, tap=observer)
        stuck = system.place({PRODUCT: 1}, VISA)
        rows: Rows[Any] = system.tables.orders if self.of_order else system.tables.products
        spoiled = Spoiled.of(rows, stuck.order_id if self.of_order else PRODUCT, self.name, self.wrong)
        neighbours = [system.place({"B": 1}, METHODS[number % 2]).order_id for number in range(NEIGHBOURS)]
        system.run(SOON)
        breaches = [
            Breach(1, order_id, "waits because of a row that is not its own")
            for order_id in neighbours
            if order_id in system.tables.opened
        ]
        system.run(HALF_A_DAY)
        spoiled.restore()
        system.redrive()
        if not system.run_until_quiet(HALF_A_DAY):
            breaches.append(Breach(1, stuck.order_id, "does not come to rest"))
        return breaches + breaches_of(system, observer, [stuck.order_id, *neighbours])


def spoiled_rows() -> Iterator[SpoiledRow]:
    yield from (SpoiledRow(True, name, wrong) for name, wrong in SPOILED_ORDERS if name != "releasedAt")
    yield from (SpoiledRow(False, name, wrong) for name, wrong in SPOILED_PRODUCTS)
