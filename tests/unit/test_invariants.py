"""Each check finds what it is for, and nothing in an order that ended as it should."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from shopflow.domain.event import Event
from shopflow.domain.order import Order
from shopflow.domain.stock import Product
from shopflow.invariants import (
    Breach,
    Evidence,
    HeldUnits,
    Report,
    check_dead_letters,
    check_order,
    check_publications,
    check_refusal,
)
from shopflow.ports import Charge
from tests.system import System

VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"


def evidence(method: str = VISA, units: int = 2) -> Evidence:
    """Of an order that ended as it should."""
    system = System({"A": 9})
    order = system.place({"A": units}, method)
    assert system.run_until_quiet()
    order = system.tables.orders[order.order_id]
    ledger = system.gateway.ledger
    charges = [ledger[order.order_id]] if order.order_id in ledger else []
    return Evidence(order, [entry.event for entry in system.audit.trail(order.order_id)], charges, mails=1)


def found(evidence: Evidence) -> set[int]:
    return {breach.invariant for breach in check_order(evidence)}


@pytest.mark.parametrize(("method", "units"), [(VISA, 2), (EXPIRED, 2), (VISA, 99)])
def test_an_order_that_ended_as_it_should_breaks_nothing(method: str, units: int) -> None:
    assert found(evidence(method, units)) == set()


def test_a_wrong_number_of_charges_or_a_wrong_amount_is_found() -> None:
    paid = evidence()
    (charge,) = paid.charges
    for charges in ([], [charge, charge], [Charge(charge.transaction_id, Decimal("1.00"))]):
        assert found(replace(paid, charges=charges)) == {3}
    assert found(replace(evidence(EXPIRED), charges=[charge])) == {3}


def test_a_customer_notified_never_or_too_often_is_found() -> None:
    paid = evidence()
    assert found(replace(paid, mails=0)) == {6}
    assert found(replace(paid, mails=2)) == {6}
    assert found(replace(paid, mails=2, mails_excused=1)) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda trail: [*trail, trail[-1]],
        lambda trail: [trail[1], trail[0], *trail[2:]],
        lambda trail: [*trail[:-1], replace(trail[-1], causation_id=trail[0].event_id)],
        lambda trail: [*trail[:-1], replace(trail[-1], time_ms=trail[0].time_ms)],
        lambda trail: [replace(trail[0], payload={**trail[0].payload, "customerId": "CUST-2"}), *trail[1:]],
    ],
    ids=["twice", "swapped", "another cause", "before its cause", "another order"],
)
def test_a_trail_that_is_not_the_orders_own_is_found_and_never_passes(
    change: Callable[[Sequence[Event]], list[Event]],
) -> None:
    paid = evidence()
    breaches = list(check_order(replace(paid, trail=change(paid.trail))))
    assert {(breach.invariant, breach.may_pass) for breach in breaches} == {(4, False)}


def test_a_trail_without_an_event_may_pass() -> None:
    paid = evidence()
    assert [breach.may_pass for breach in check_order(replace(paid, trail=paid.trail[1:]))] == [True]


def test_an_order_that_closed_too_early_is_found() -> None:
    declined = evidence(EXPIRED)
    assert 1 in found(replace(declined, order=replace(declined.order, released_at=None)))


def test_a_unit_too_many_or_too_few_is_found() -> None:
    paid, declined = evidence().order, evidence(EXPIRED).order

    def subjects(orders: Sequence[Order], stock: int | None = None, received: int = 9) -> list[str]:
        held = HeldUnits()
        for order in orders:
            held.add(order)
        products = [] if stock is None else [Product("A", "Name of A", Decimal("9.99"), stock, received)]
        return [breach.subject for breach in held.check(products)]

    assert subjects([paid, declined], stock=7) == []
    assert subjects([paid], stock=8) == ["A"]
    assert subjects([], stock=-1, received=-1) == ["A"]
    assert subjects([paid]) == ["A"], "it holds units of a product that does not exist"


def test_a_refusal_is_true_of_the_stock_that_was_seen_less_what_was_taken_with_it() -> None:
    order = evidence(VISA, 5).order
    assert not list(check_refusal(order, {"A": 4}, {}))
    assert not list(check_refusal(order, {"A": 7}, {"A": 3}))
    assert list(check_refusal(order, {"A": 7}, {"A": 2}))


def test_dead_letters_are_the_poison_and_only_that() -> None:
    assert not list(check_dead_letters("audit", {"poison"}, {"poison"}))
    assert len(list(check_dead_letters("audit", {"work"}, {"poison"}))) == 2


def test_a_second_publication_needs_a_fault_that_explains_it() -> None:
    assert not list(check_publications({"1": 1, "2": 2}, {"2": 1}))
    assert [breach.subject for breach in check_publications({"1": 2}, {"2": 1})] == ["1"]


def test_a_report_counts_all_breaches_and_keeps_the_first() -> None:
    report = Report(max_offenders=2)
    report.add(Breach(2, str(number), "") for number in range(5))
    assert (report.holds, report.breached[2]) == (False, 5)
    assert [breach.subject for breach in report.offenders[2]] == ["0", "1"]
