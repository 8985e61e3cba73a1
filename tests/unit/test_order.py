"""The order's state machine."""

from collections.abc import Callable
from decimal import Decimal
from itertools import permutations

import pytest

from shopflow.domain.order import (
    LEGAL_TRAILS,
    EventType,
    IllegalTransition,
    Order,
    Status,
    Transition,
    charge,
    close,
    decline,
    notify,
    refuse,
    release,
    reserve,
    was_committed,
)
from tests.unit.making import T0, applied, charged, declined, header, pending, refused, reserved

STEPS: dict[str, Callable[[Order], Transition]] = {
    "reserve": lambda order: reserve(order, header(EventType.INVENTORY_RESERVED)),
    "refuse": lambda order: refuse(order, header(EventType.INVENTORY_FAILED), "none left"),
    "charge": lambda order: charge(order, header(EventType.PAYMENT_PROCESSED), "TXN-1", Decimal("1.00")),
    "decline": lambda order: decline(order, header(EventType.PAYMENT_FAILED), "Card expired"),
    "release": lambda order: release(order, header(EventType.INVENTORY_RELEASED)),
    "notify": lambda order: notify(order, T0 + 9),
}
STATES: dict[str, tuple[Order, set[str]]] = {
    "pending": (pending(), {"reserve", "refuse"}),
    "reserved": (reserved(), {"charge", "decline"}),
    "refused": (refused(), {"notify"}),
    "charged": (charged(), {"notify"}),
    "declined": (declined(), {"release", "notify"}),
    "declined and notified": (notify(declined(), T0 + 9).after, {"release"}),
    "declined and released": (STEPS["release"](declined()).after, {"notify"}),
    "completed": (notify(charged(), T0 + 9).after, set()),
    "refused and notified": (notify(refused(), T0 + 9).after, set()),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", STATES)
def test_only_legal_transitions_are_possible(state: str, step: str) -> None:
    order, legal = STATES[state]
    if step in legal:
        assert STEPS[step](order).changes()
    else:
        with pytest.raises(IllegalTransition):
            STEPS[step](order)


@pytest.mark.parametrize(
    ("order", "status"),
    [(notify(charged(), T0).after, Status.COMPLETED), (notify(refused(), T0).after, Status.INVENTORY_FAILED)],
)
def test_the_last_transition_closes_the_order_and_clears_its_outbox(order: Order, status: Status) -> None:
    assert (order.status, order.opened_at, order.outbox) == (status, None, None)
    assert order.trail == LEGAL_TRAILS[status]


@pytest.mark.parametrize("steps", list(permutations(["notify", "release", "close"])))
def test_a_declined_order_closes_in_whatever_order_it_is_notified_released_and_looked_at(
    steps: tuple[str, ...],
) -> None:
    order = declined()
    for step in steps:
        order = STEPS[step](order).after if step != "close" else applied(close(order), order)
    order = applied(close(order), order)
    assert order.opened_at is None
    assert order.trail == LEGAL_TRAILS[Status.PAYMENT_FAILED]


def test_notified_and_released_at_the_same_time_do_not_undo_each_other() -> None:
    order = declined()
    notified, released = notify(order, T0 + 9), STEPS["release"](order)
    for first, second in permutations([notified, released]):
        assert second.is_allowed_on(applied(first, order))
        both = applied(second, applied(first, order))
        assert (both.notified_at, both.released_at) == (T0 + 9, released.after.released_at)


def test_notified_and_cleared_at_the_same_time_are_closed_by_the_next_look() -> None:
    order = STEPS["release"](declined()).after
    notified, cleared = notify(order, T0 + 9), close(order)
    for first, second in permutations([notified, cleared]):
        both = applied(second, applied(first, order))
        assert both.opened_at is not None
        assert applied(close(both), both).opened_at is None


def test_a_lost_answer_is_recognised_by_the_id_of_the_event() -> None:
    order = pending()
    ours = reserve(order, header(EventType.INVENTORY_RESERVED, event_id="ours"))
    theirs = reserve(order, header(EventType.INVENTORY_RESERVED, event_id="theirs"))
    assert was_committed([ours], {order.order_id: ours.after})
    assert not was_committed([ours], {order.order_id: theirs.after})
    assert not was_committed([ours], {})
