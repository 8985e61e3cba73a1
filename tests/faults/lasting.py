"""Faults that last for half a day or longer: one order cannot hurt another, and no order is lost.

An order runs once without a fault, to list the calls about it and about its product. Then each of these calls fails for
half a day, for that order alone, while other orders are placed with it and after it. Rows are damaged, services are
away and clocks are wrong for as long, or longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

from api.placing import order_id
from shopflow.aws.items import Item
from shopflow.errors import InvalidRequest, Unavailable
from shopflow.invariants import Breach
from shopflow.memory.tables import Rows
from tests.faults.injections import (
    DAMAGE_TO_ORDERS,
    DAMAGE_TO_PRODUCTS,
    DAY,
    Instead,
    break_down,
    damage,
    lose_the_answer,
    nonsense_for,
    refuse,
    subjects_of,
)
from tests.faults.scenarios import EXPIRED, VISA, RefusingTopic
from tests.faults.verdict import Trial, WatchedSystem
from tests.system import service_of

HALF_A_DAY = 12 * 3600
SOON, SOON_WITH_RELAY = 600, 2 * 3600
"""Seconds within which the neighbours must finish; the longer one where the relay makes every step."""
KEY = "the client whose order has the fault"
ORDER, PRODUCT = order_id(KEY, 0), "A"
"""The order with the fault, and the product that only it has. The neighbours share product B."""
STOCK = {PRODUCT: 5, "B": 1000}
NEIGHBOURS = 12
METHODS = (VISA, EXPIRED)
Call = tuple[str, str, str]
"""A service, its method, and the order or product that the call is about."""


@dataclass
class Case:
    """``instead`` of each call that is ``meant``, for half a day.

    ``refused``: the topic refuses each event the first time, so that the relay makes every step.
    """

    payment_method: str
    refused: bool
    meant: Call | None = None
    instead: Instead = partial.__call__
    calls: dict[Call, None] = field(default_factory=dict)

    def __str__(self) -> str:
        service, method, subject = self.meant or ("", "", "")
        what = getattr(self.instead, "__name__", "nonsense")
        refused = ", every event refused at first" if self.refused else ""
        return f"{service}'s {method} about {subject}: {what} ({self.payment_method}{refused})"

    def breaches(self) -> list[Breach]:
        """What of the invariants does not hold, and which neighbours had to wait."""
        self._system = system = WatchedSystem(STOCK, self._tap, topic=RefusingTopic() if self.refused else None)
        self._ends = system.clock.now + HALF_A_DAY * 1000
        self._place()
        neighbours = _place_neighbours(system)
        system.run(60)
        neighbours += _place_neighbours(system)
        system.run(SOON_WITH_RELAY if self.refused else SOON)
        waiting = _open_among(neighbours, system)
        if self.instead is break_down and self.meant and self.meant[1] == "topic.publish" and not self.refused:
            waiting += sorted(system.observer.left_to_the_relay & set(neighbours))
        found = [Breach(1, one, "had to wait because of another order") for one in waiting]
        system.run((self._ends - system.clock.now) / 1000 - 60)
        if self.instead in (refuse, lose_the_answer):
            dead = [service for service, dlq in system.dlqs.items() if dlq.depth().waiting]
            found += [Breach(5, service, "holds a message whose dependency was down") for service in dead]
        system.run(60)
        self._place()
        system.run_until_quiet(HALF_A_DAY)
        system.redrive()
        return found + system.breaches(HALF_A_DAY)

    def _place(self) -> None:
        try:
            self._system.place({PRODUCT: 1}, self.payment_method, KEY)
        except (Unavailable, InvalidRequest, KeyError):
            return  # the client tries again in half a day

    def _tap(self, service: str, method: str, call: partial[Any]) -> Any:
        if method in ("topic.publish", "audit.insert"):
            subjects = [str(entry.order_id) for entry in call.args[0]]
        else:
            subjects = subjects_of(method, call)
        about = [(service_of(service), method, one) for one in (ORDER, PRODUCT) if one in subjects]
        self.calls |= dict.fromkeys(about)
        return self.instead(call) if self.meant in about and self._system.clock.now < self._ends else call()


def cases() -> Iterator[Trial]:
    """Each fault at each call about one order, for a paid and a declined order."""
    for payment_method, refused in product(METHODS, (False, True)):
        undisturbed = Case(payment_method, refused)
        undisturbed.breaches()
        for meant in undisturbed.calls:
            for instead in (refuse, lose_the_answer, break_down, *nonsense_for(meant[1])):
                case = Case(payment_method, refused, meant, instead)
                yield Trial(str(case), case.breaches)


def damaged_rows() -> Iterator[Trial]:
    """Somebody overwrites an attribute of one order, or of its product, and repairs it half a day later."""
    for name, wrong in DAMAGE_TO_ORDERS:
        if name != "releasedAt":
            yield Trial(f"an order with {name} {dict(wrong)}", partial(_damage, "orders", name, wrong))
    for name, wrong in DAMAGE_TO_PRODUCTS:
        yield Trial(f"a product with {name} {dict(wrong)}", partial(_damage, "products", name, wrong))


def _damage(table: str, name: str, wrong: Item) -> list[Breach]:
    system = WatchedSystem(STOCK)
    order = system.place({PRODUCT: 1}, VISA)
    rows: Rows[Any] = getattr(system.tables, table)
    repair = damage(rows, order.order_id if table == "orders" else PRODUCT, name, wrong)
    neighbours = _place_neighbours(system)
    system.run(SOON)
    waiting = _open_among(neighbours, system)
    system.run(HALF_A_DAY)
    repair()
    system.redrive()
    found = [Breach(1, one, "waits because of a row that is not its own") for one in waiting]
    return found + system.breaches(HALF_A_DAY)


def absences() -> Iterator[Trial]:
    """Services are away for 15 days, longer than SQS keeps their messages."""
    for payment_method, service in product(METHODS, ("inventory", "payment", "notification")):
        for away in ([service], ["audit", service]):
            name = f"{' and '.join(sorted(away))} away for 15 days ({payment_method})"
            yield Trial(name, partial(_be_away, away, payment_method))


def _be_away(services: list[str], payment_method: str) -> list[Breach]:
    system = WatchedSystem({"A": 5})
    system.place({"A": 1}, payment_method)
    for _ in range(120):  # seconds: enough for the other services to process what they can
        for name in system.consumers:
            if name not in services:
                system.step(name)
        system.clock.advance(1)
    system.sweep()
    system.clock.advance(15 * DAY)
    return system.breaches(30 * DAY)


def wrong_clocks() -> Iterator[Trial]:
    """The Order Service's clock is days off, and the topic refuses each event the first time."""
    for days in (-400, -1, 1, 400):
        yield Trial(f"the Order Service's clock is {days:+} days off", partial(_be_off, days))


def _be_off(days: int) -> list[Breach]:
    system = WatchedSystem({"A": 5}, topic=RefusingTopic(), skew={"order": days * DAY * 1000})
    system.place({"A": 1}, VISA)
    return system.breaches(DAY)


def _place_neighbours(system: WatchedSystem) -> list[str]:
    return [system.place({"B": 1}, METHODS[number % 2]).order_id for number in range(NEIGHBOURS)]


def _open_among(orders: list[str], system: WatchedSystem) -> list[str]:
    return [order_id for order_id in orders if order_id in system.tables.opened]
