"""The order's state machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import pytest

from shopflow.domain.order import LEGAL_TRAILS, IllegalTransition, Order, Transition, close, was_committed
from tests.conformance.samples import an_order, charged, declined, notified, refused, released, reserved

STEPS: dict[str, Callable[[Order], Transition]] = {
    "reserve": reserved,
    "refuse": refused,
    "charge": charged,
    "decline": declined,
    "release": released,
    "notify": notified,
}
PENDING = an_order()
RESERVED, REFUSED = reserved(PENDING).after, refused(PENDING).after
CHARGED, DECLINED = charged(RESERVED).after, declined(RESERVED).after
STATES: dict[str, tuple[Order, set[str]]] = {
    "pending": (PENDING, {"reserve", "refuse"}),
    "reserved": (RESERVED, {"charge", "decline"}),
    "refused": (REFUSED, {"notify"}),
    "charged": (CHARGED, {"notify"}),
    "declined": (DECLINED, {"release", "notify"}),
    "declined and notified": (notified(DECLINED).after, {"release"}),
    "declined and released": (released(DECLINED).after, {"notify"}),
    "completed": (notified(CHARGED).after, set()),
    "refused and notified": (notified(REFUSED).after, set()),
}


def applied(transition: Transition, current: Order) -> Order:
    """The order after ``transition`` was committed on ``current``."""
    return replace(current, **transition.changes())


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", STATES)
def test_only_legal_transitions_are_possible(state: str, step: str) -> None:
    order, legal = STATES[state]
    if step in legal:
        assert STEPS[step](order).changes()
    else:
        with pytest.raises(IllegalTransition):
            STEPS[step](order)


@pytest.mark.parametrize("state", ["completed", "refused and notified"])
def test_the_last_transition_closes_the_order_and_clears_its_outbox(state: str) -> None:
    order, _ = STATES[state]
    assert (order.opened_at, order.outbox) == (None, None)
    assert order.trail == LEGAL_TRAILS[order.status]


@pytest.mark.parametrize("steps", list(permutations([notified, released, close])))
def test_a_declined_order_closes_in_whatever_order_it_is_notified_released_and_looked_at(
    steps: tuple[Callable[[Order], Transition], ...],
) -> None:
    order = DECLINED
    for step in (*steps, close):
        order = applied(step(order), order)
    assert order.opened_at is None
    assert order.trail == LEGAL_TRAILS[order.status]


def test_notified_and_released_at_the_same_time_do_not_undo_each_other() -> None:
    notifying, releasing = notified(DECLINED), released(DECLINED)
    for first, second in permutations([notifying, releasing]):
        assert second.is_allowed_on(applied(first, DECLINED))
        both = applied(second, applied(first, DECLINED))
        assert (both.notified_at, both.released_at) == (notifying.after.notified_at, releasing.after.released_at)


def test_notified_and_cleared_at_the_same_time_are_closed_by_the_next_look() -> None:
    order = released(DECLINED).after
    for first, second in permutations([notified(order), close(order)]):
        both = applied(second, applied(first, order))
        assert both.opened_at is not None
        assert applied(close(both), both).opened_at is None


def test_a_lost_answer_is_recognised_by_the_id_of_the_event() -> None:
    ours, theirs = reserved(PENDING), reserved(PENDING)
    assert was_committed([ours], {PENDING.order_id: ours.after})
    assert not was_committed([ours], {PENDING.order_id: theirs.after})
    assert not was_committed([ours], {})
