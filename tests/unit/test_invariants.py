"""Each check finds what it is for, and nothing in an order that ended as it should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from shopflow.domain.event import Event
from shopflow.domain.order import Order
from shopflow.domain.stock import Product
from shopflow.invariants import HeldUnits, check_order
from shopflow.ports import Charge
from tests.system import System

VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"
Ended = tuple[Order, list[Event], list[Charge]]


def ended(method: str = VISA, units: int = 2) -> Ended:
    """An order that ended as it should, its trail and its charges."""
    system = System({"A": 9})
    order_id = system.place({"A": units}, method).order_id
    assert system.run_until_quiet()
    charge = system.gateway.ledger.get(order_id)
    trail = [entry.event for entry in system.audit.trail(order_id)]
    return system.tables.orders[order_id], trail, [charge] if charge else []


def found(order: Order, trail: Sequence[Event], charges: Sequence[Charge]) -> set[tuple[int, bool]]:
    """The invariants that are broken, and whether unfinished work would look the same."""
    return {(breach.invariant, breach.may_pass) for breach in check_order(order, trail, charges)}


@pytest.mark.parametrize(("method", "units"), [(VISA, 2), (EXPIRED, 2), (VISA, 99)])
def test_an_order_that_ended_as_it_should_breaks_nothing(method: str, units: int) -> None:
    assert found(*ended(method, units)) == set()


def test_a_wrong_number_of_charges_or_a_wrong_amount_is_found() -> None:
    order, trail, charges = ended()
    for wrong in ([], charges * 2, [Charge(charges[0].transaction_id, Decimal("1.00"))]):
        assert found(order, trail, wrong) == {(3, False)}
    declined, its_trail, _ = ended(EXPIRED)
    assert found(declined, its_trail, charges) == {(3, False)}


def test_a_trail_that_is_not_the_orders_own_is_found_and_never_passes() -> None:
    order, trail, charges = ended()
    first, second, last = trail
    for wrong in (
        [*trail, last],
        [second, first, last],
        [first, second, replace(last, causation_id=first.event_id)],
        [first, second, replace(last, time_ms=first.time_ms)],
        [replace(first, payload={**first.payload, "customerId": "CUST-2"}), second, last],
    ):
        assert found(order, wrong, charges) == {(4, False)}
    assert found(order, trail[1:], charges) == {(4, True)}, "an event may still be on its way"


@pytest.mark.parametrize(
    ("holders", "stock", "received", "offenders"),
    [
        ([VISA, EXPIRED], 7, 9, []),
        ([VISA], 8, 9, ["A"]),
        ([VISA], 6, 9, ["A"]),
        ([], -1, -1, ["A"]),
    ],
)
def test_a_unit_too_many_or_too_few_is_found(
    holders: list[str], stock: int, received: int, offenders: list[str]
) -> None:
    held = HeldUnits()
    for method in holders:
        held.add(ended(method)[0])
    products = [Product("A", "Name of A", Decimal("9.99"), stock, received)]
    assert [breach.subject for breach in held.check(products)] == offenders
