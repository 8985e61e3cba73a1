"""`shopflow.ports.Orders.commit`: all or nothing, under guards, and once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shopflow.domain import order as steps
from shopflow.domain.order import Order, Status, Transition
from shopflow.domain.stock import Product
from shopflow.errors import Conflict
from shopflow.ports import MAX_TRANSACTION_ITEMS
from tests.conformance.samples import (
    a_declined_order,
    a_line,
    a_placed_order,
    a_product,
    an_order,
    charged,
    fresh_id,
    got_through,
    made,
    refused,
    released,
    reserved,
    standing,
)
from tests.conformance.worlds import World


def stock_of(world: World, product: Product) -> int:
    return world.products.read([product.product_id])[product.product_id].stock


def notified(order: Order, later_ms: int = 1) -> Transition:
    return steps.notify(order, order.updated_at + later_ms)


def conflict_of(world: World, transitions: Sequence[Transition], stock: Mapping[str, int] | None = None) -> Conflict:
    """The conflict that a commit fails with."""
    with pytest.raises(Conflict) as conflict:
        world.orders.commit(transitions, stock or {})
    return conflict.value


def test_every_step_of_a_paid_order_is_stored_whole(world: World) -> None:
    order = a_placed_order(world.orders)
    for step in (reserved, charged, notified):
        transition = step(order)
        order = made(world.orders, transition)
        assert order == transition.after


def test_several_transitions_and_their_stock_are_committed_together(world: World) -> None:
    one, other, third = (a_placed_order(world.orders) for _ in range(3))
    hub, cable = a_product(world.products, stock=10), a_product(world.products, stock=4)
    transitions = [reserved(one), reserved(other), refused(third)]
    world.orders.commit(transitions, {hub.product_id: -7, cable.product_id: -4})
    after = {transition.after.order_id: transition.after for transition in transitions}
    assert world.orders.read(list(after)) == after
    assert (stock_of(world, hub), stock_of(world, cable)) == (3, 0)


def test_a_failed_guard_names_the_order_as_it_stands(world: World) -> None:
    order = a_placed_order(world.orders)
    moved_on = made(world.orders, reserved(order))
    for transition in (refused(order), reserved(order)):  # another step, and the same step by another worker
        conflict = conflict_of(world, [transition])
        assert (conflict.orders, conflict.products) == ({order.order_id: moved_on}, frozenset())
        assert standing(world.orders, order) == moved_on


def test_an_unknown_order_stops_a_commit(world: World) -> None:
    known, unknown = a_placed_order(world.orders), an_order()
    assert conflict_of(world, [reserved(unknown)]).orders == {}
    assert conflict_of(world, [reserved(known), reserved(unknown)]).orders == {}
    assert world.orders.read([known.order_id, unknown.order_id]) == {known.order_id: known}


def test_a_conflict_names_all_that_failed_and_nothing_is_committed(world: World) -> None:
    fresh, *late = (a_placed_order(world.orders) for _ in range(3))
    moved_on = {order.order_id: made(world.orders, reserved(order)) for order in late}
    plenty = a_product(world.products, stock=10)
    short = [a_product(world.products, stock=units) for units in (0, 2)]
    wanted = {plenty.product_id: -1, short[0].product_id: -1, short[1].product_id: -3}
    conflict = conflict_of(world, [reserved(fresh), *map(refused, late)], wanted)
    assert conflict.orders == moved_on
    assert conflict.products == {product.product_id for product in short}
    assert standing(world.orders, fresh) == fresh
    assert [stock_of(world, product) for product in (plenty, *short)] == [10, 0, 2]


@pytest.mark.parametrize("units", [-1, 1])
def test_an_unknown_product_is_short_whether_taken_or_returned(world: World, units: int) -> None:
    order, unknown = a_placed_order(world.orders), fresh_id("PROD")
    assert conflict_of(world, [reserved(order)], {unknown: units}).products == {unknown}
    assert world.products.read([unknown]) == {}


def test_returned_units_are_in_stock_and_not_counted_as_received(world: World) -> None:
    order = a_declined_order(world.orders)
    product = a_product(world.products, stock=5)
    world.orders.commit([released(order)], {product.product_id: 2})
    assert world.products.read([product.product_id])[product.product_id] == replace(product, stock=7, received=5)


def test_those_who_race_for_the_last_units_get_no_more_than_there_are(world: World) -> None:
    product = a_product(world.products, stock=3)
    transitions = [reserved(a_placed_order(world.orders)) for _ in range(8)]
    with ThreadPoolExecutor(len(transitions)) as pool:
        winners = list(
            pool.map(lambda transition: got_through(world.orders, [transition], {product.product_id: -1}), transitions)
        )
    assert sum(winners) == 3
    assert stock_of(world, product) == 0
    stored = world.orders.read([transition.after.order_id for transition in transitions])
    assert [stored[transition.after.order_id] == transition.after for transition in transitions] == winners


def test_a_transition_committed_again_after_a_lost_answer_counts_as_made(world: World) -> None:
    transition = reserved(a_placed_order(world.orders))
    world.orders.commit([transition])
    world.orders.commit([transition])
    assert standing(world.orders, transition.after) == transition.after


def test_a_transaction_committed_again_after_a_lost_answer_takes_no_stock_twice(world: World) -> None:
    transitions = [reserved(a_placed_order(world.orders)) for _ in range(2)]
    product = a_product(world.products, stock=3)
    for _ in range(2):
        world.orders.commit(transitions, {product.product_id: -2})
    assert stock_of(world, product) == 1


def test_a_customer_notified_again_after_a_lost_answer_counts_as_notified(world: World) -> None:
    order = made(world.orders, refused(a_placed_order(world.orders)))
    first, again = notified(order), notified(order, later_ms=9)
    world.orders.commit([first])
    world.orders.commit([again])
    assert standing(world.orders, order) == first.after


def test_the_same_step_by_another_worker_is_a_conflict(world: World) -> None:
    one, other = (made(world.orders, refused(a_placed_order(world.orders))) for _ in range(2))
    by_another_worker = made(world.orders, notified(one))
    assert conflict_of(world, [notified(one), notified(other)]).orders == {one.order_id: by_another_worker}
    assert standing(world.orders, other) == other


def test_a_release_decided_before_the_customer_was_notified_keeps_both(world: World) -> None:
    order = a_declined_order(world.orders)
    releasing, notifying = released(order), notified(order)
    world.orders.commit([notifying])
    stored = made(world.orders, releasing)
    assert stored == replace(releasing.after, notified_at=notifying.after.notified_at)
    assert stored.opened_at is not None


def test_notified_and_cleared_at_the_same_time_leave_the_order_to_the_next_close(world: World) -> None:
    order = made(world.orders, released(a_declined_order(world.orders)))
    notifying, cleared = notified(order), steps.close(order)
    world.orders.commit([notifying])
    stored = made(world.orders, cleared)
    assert (stored.outbox, stored.notified_at) == (None, notifying.after.notified_at)
    assert stored.opened_at is not None
    assert made(world.orders, steps.close(stored)).opened_at is None


def test_closing_last_clears_the_outbox_and_closes(world: World) -> None:
    order = made(world.orders, released(a_declined_order(world.orders)))
    order = made(world.orders, notified(order))
    closed = made(world.orders, steps.close(order))
    assert closed == replace(order, outbox=None, superseded=None, opened_at=None)


def test_notifying_last_closes(world: World) -> None:
    order = made(world.orders, released(a_declined_order(world.orders)))
    order = made(world.orders, steps.close(order))
    assert (order.outbox, order.opened_at is None) == (None, False)
    closed = made(world.orders, notified(order))
    assert (closed.outbox, closed.opened_at, closed.status) == (None, None, Status.PAYMENT_FAILED)


def test_a_hundred_items_are_one_transaction(world: World) -> None:
    product = a_product(world.products, stock=99)
    transitions = [reserved(a_placed_order(world.orders, a_line())) for _ in range(MAX_TRANSACTION_ITEMS - 1)]
    world.orders.commit(transitions, {product.product_id: -99})
    stored = world.orders.read([transition.after.order_id for transition in transitions])
    assert all(stored[transition.after.order_id] == transition.after for transition in transitions)
    assert stock_of(world, product) == 0


def test_more_than_a_hundred_items_or_an_order_twice_are_refused(world: World) -> None:
    order = a_placed_order(world.orders)
    products = {fresh_id("PROD"): -1 for _ in range(MAX_TRANSACTION_ITEMS)}
    with pytest.raises(ValueError, match="100"):
        world.orders.commit([reserved(order)], products)
    with pytest.raises(ValueError, match="twice"):
        world.orders.commit([reserved(order), refused(order)])
    assert standing(world.orders, order) == order
