"""The checks themselves: each finds what it is for, and nothing in what is as it should be."""

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
    as_replayed,
    check_dead_letters,
    check_order,
    check_publications,
    check_refusal,
)
from shopflow.ports import Charge
from tests.system import System

VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"


def evidence(method: str = VISA, units: int = 2) -> Evidence:
    """Of an order that has ended as it should."""
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


def test_a_charge_more_or_less_or_of_another_amount_is_found() -> None:
    paid = evidence()
    for charges in ([], [*paid.charges, *paid.charges], [Charge(paid.charges[0].transaction_id, Decimal("1.00"))]):
        assert found(replace(paid, charges=charges)) == {3}


def test_a_charge_of_an_order_that_was_not_charged_is_found() -> None:
    assert found(replace(evidence(EXPIRED), charges=[Charge("TXN-1", Decimal("9.99"))])) == {3}


def test_a_customer_told_too_often_or_never_is_found() -> None:
    paid = evidence()
    assert found(replace(paid, mails=0)) == {6}
    assert found(replace(paid, mails=2)) == {6}
    assert found(replace(paid, mails=2, mails_excused=1)) == set()


def _twice(trail: Sequence[Event]) -> list[Event]:
    return [*trail, trail[-1]]


def _swapped(trail: Sequence[Event]) -> list[Event]:
    return [trail[1], trail[0], *trail[2:]]


def _of_another_cause(trail: Sequence[Event]) -> list[Event]:
    return [*trail[:-1], replace(trail[-1], causation_id=trail[0].event_id)]


def _before_its_cause(trail: Sequence[Event]) -> list[Event]:
    return [*trail[:-1], replace(trail[-1], time_ms=trail[0].time_ms)]


def _of_another_order(trail: Sequence[Event]) -> list[Event]:
    first = replace(trail[0], payload={**trail[0].payload, "customerId": "CUST-2"})
    return [first, *trail[1:]]


@pytest.mark.parametrize("change", [_twice, _swapped, _of_another_cause, _before_its_cause, _of_another_order])
def test_a_trail_that_is_not_the_orders_own_is_found_and_will_not_pass(
    change: Callable[[Sequence[Event]], list[Event]],
) -> None:
    paid = evidence()
    breaches = list(check_order(replace(paid, trail=change(paid.trail))))
    assert {(breach.invariant, breach.may_pass) for breach in breaches} == {(4, False)}


def test_a_trail_that_lacks_an_event_may_pass() -> None:
    paid = evidence()
    assert [breach.may_pass for breach in check_order(replace(paid, trail=paid.trail[1:]))] == [True]


def test_an_order_closed_with_something_undone_is_found() -> None:
    declined = evidence(EXPIRED)
    order = replace(declined.order, released_at=None)
    assert 1 in found(replace(declined, order=order))


def test_completed_replays_as_payment_processed() -> None:
    paid = evidence()
    assert as_replayed(paid.order).status == "PAYMENT_PROCESSED"


def product(stock: int, received: int) -> Product:
    return Product("A", "Name of A", Decimal("9.99"), stock, received)


def held(*orders: Order) -> HeldUnits:
    units = HeldUnits()
    for order in orders:
        units.add(order)
    return units


def test_units_are_conserved() -> None:
    paid, declined = evidence().order, evidence(EXPIRED).order
    assert not list(held(paid, declined).check([product(7, 9)]))
    assert [breach.subject for breach in held(paid).check([product(8, 9)])] == ["A"]
    assert len(list(held().check([product(-1, -1)]))) == 1
    assert len(list(held(paid).check([]))) == 1


def test_a_refusal_is_true_of_the_stock_that_was_seen_less_what_was_taken_with_it() -> None:
    order = evidence(VISA, 5).order
    assert not list(check_refusal(order, {"A": 4}, {}))
    assert not list(check_refusal(order, {"A": 7}, {"A": 3}))
    assert list(check_refusal(order, {"A": 7}, {"A": 2}))


def test_dead_letters_are_the_poison_and_only_that() -> None:
    assert not list(check_dead_letters("audit", {"poison"}, {"poison"}))
    assert len(list(check_dead_letters("audit", {"work"}, {"poison"}))) == 2


def test_a_publication_beyond_the_first_must_be_explained() -> None:
    assert not list(check_publications({"1": 1, "2": 2}, {"2": 1}))
    assert [breach.subject for breach in check_publications({"1": 2}, {"2": 1})] == ["1"]


def test_a_report_counts_all_and_keeps_the_first() -> None:
    report = Report(most_offenders=2)
    assert report.holds
    report.add(Breach(2, str(number), "") for number in range(5))
    assert not report.holds
    assert report.breached[2] == 5
    assert [breach.subject for breach in report.offenders[2]] == ["0", "1"]
