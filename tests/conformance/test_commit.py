"""`shopflow.ports.Orders.commit`: all or nothing, under guards, and once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shopflow.domain import order as steps
from shopflow.domain.order import Order, Status
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


def stock_of(world: World, product_id: str) -> int:
    return world.products.read([product_id])[product_id].stock


def told(order: Order, later_ms: int = 1) -> steps.Transition:
    return steps.notify(order, order.updated_at + later_ms)


def test_a_move_is_stored_whole(world: World) -> None:
    order = a_placed_order(world.orders)
    transition = reserved(order)
    assert made(world.orders, transition) == transition.after


def test_every_step_of_a_paid_order_is_stored_whole(world: World) -> None:
    order = made(world.orders, reserved(a_placed_order(world.orders)))
    paying = charged(order)
    assert made(world.orders, paying) == paying.after
    telling = told(paying.after)
    assert made(world.orders, telling) == telling.after


def test_a_failed_guard_names_the_order_as_it_stands(world: World) -> None:
    order = a_placed_order(world.orders)
    moved_on = made(world.orders, reserved(order))
    with pytest.raises(Conflict) as conflict:
        world.orders.commit([refused(order)])
    assert conflict.value.orders == {order.order_id: moved_on}
    assert conflict.value.products == frozenset()
    assert standing(world.orders, order) == moved_on


def test_an_unknown_order_cannot_move(world: World) -> None:
    order = an_order()
    with pytest.raises(Conflict) as conflict:
        world.orders.commit([reserved(order)])
    assert conflict.value.orders == {}
    assert world.orders.read([order.order_id]) == {}


def test_an_unknown_order_stops_a_transaction(world: World) -> None:
    known, unknown = a_placed_order(world.orders), an_order()
    with pytest.raises(Conflict) as conflict:
        world.orders.commit([reserved(known), reserved(unknown)])
    assert conflict.value.orders == {}
    assert standing(world.orders, known) == known


def test_several_moves_and_stock_are_made_together(world: World) -> None:
    one, other, third = (a_placed_order(world.orders) for _ in range(3))
    hub, cable = a_product(world.products, stock=10), a_product(world.products, stock=4)
    transitions = [reserved(one), reserved(other), refused(third)]
    world.orders.commit(transitions, {hub.product_id: -7, cable.product_id: -4})
    assert world.orders.read([transition.after.order_id for transition in transitions]) == {
        m.after.order_id: m.after for m in transitions
    }
    assert (stock_of(world, hub.product_id), stock_of(world, cable.product_id)) == (3, 0)


def test_one_failed_guard_stops_all_moves_and_stock(world: World) -> None:
    fresh, late = a_placed_order(world.orders), a_placed_order(world.orders)
    product = a_product(world.products, stock=10)
    moved_on = made(world.orders, reserved(late))
    with pytest.raises(Conflict) as conflict:
        world.orders.commit([reserved(fresh), refused(late)], {product.product_id: -1})
    assert conflict.value.orders == {late.order_id: moved_on}
    assert conflict.value.products == frozenset()
    assert standing(world.orders, fresh) == fresh
    assert stock_of(world, product.product_id) == 10


def test_too_little_stock_names_the_product_and_stops_everything(world: World) -> None:
    order = a_placed_order(world.orders)
    plenty, short = a_product(world.products, stock=10), a_product(world.products, stock=2)
    with pytest.raises(Conflict) as conflict:
        world.orders.commit([reserved(order)], {plenty.product_id: -1, short.product_id: -3})
    assert conflict.value.orders == {}
    assert conflict.value.products == {short.product_id}
    assert standing(world.orders, order) == order
    assert (stock_of(world, plenty.product_id), stock_of(world, short.product_id)) == (10, 2)


def test_a_conflict_names_all_that_failed(world: World) -> None:
    orders = [a_placed_order(world.orders) for _ in range(3)]
    moved_on = [made(world.orders, reserved(order)) for order in orders[:2]]
    short = [a_product(world.products, stock=0).product_id for _ in range(2)]
    with pytest.raises(Conflict) as conflict:
        world.orders.commit([refused(order) for order in orders], dict.fromkeys(short, -1))
    assert conflict.value.orders == {order.order_id: order for order in moved_on}
    assert conflict.value.products == set(short)


@pytest.mark.parametrize("units", [-1, 1])
def test_an_unknown_product_is_short_whether_taken_or_given_back(world: World, units: int) -> None:
    order, unknown = a_placed_order(world.orders), fresh_id("PROD")
    with pytest.raises(Conflict) as conflict:
        world.orders.commit([reserved(order)], {unknown: units})
    assert conflict.value.products == {unknown}
    assert world.products.read([unknown]) == {}


def test_units_given_back_are_in_stock_and_not_counted_as_received(world: World) -> None:
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
    assert stock_of(world, product.product_id) == 0
    stored = world.orders.read([transition.after.order_id for transition in transitions])
    assert [stored[transition.after.order_id] == transition.after for transition in transitions] == winners


def test_a_move_committed_again_after_a_lost_answer_counts_as_made(world: World) -> None:
    transition = reserved(a_placed_order(world.orders))
    world.orders.commit([transition])
    world.orders.commit([transition])
    assert standing(world.orders, transition.after) == transition.after


def test_a_transaction_committed_again_after_a_lost_answer_takes_no_stock_twice(world: World) -> None:
    transitions = [reserved(a_placed_order(world.orders)) for _ in range(2)]
    product = a_product(world.products, stock=3)
    for _ in range(2):
        world.orders.commit(transitions, {product.product_id: -2})
    assert stock_of(world, product.product_id) == 1


def test_a_customer_told_again_after_a_lost_answer_counts_as_told(world: World) -> None:
    order = made(world.orders, refused(a_placed_order(world.orders)))
    first, again = told(order), told(order, later_ms=9)
    world.orders.commit([first])
    world.orders.commit([again])
    assert standing(world.orders, order) == first.after


def test_the_same_step_by_another_worker_is_a_conflict(world: World) -> None:
    order = a_placed_order(world.orders)
    winner = made(world.orders, reserved(order))
    with pytest.raises(Conflict) as conflict:
        world.orders.commit([reserved(order)])
    assert conflict.value.orders == {order.order_id: winner}


def test_a_step_of_one_order_that_others_made_does_not_speak_for_the_other_order(world: World) -> None:
    one, other = (made(world.orders, refused(a_placed_order(world.orders))) for _ in range(2))
    by_another_worker = made(world.orders, told(one))
    with pytest.raises(Conflict) as conflict:
        world.orders.commit([told(one), told(other)])
    assert conflict.value.orders == {one.order_id: by_another_worker}
    assert standing(world.orders, other) == other


def test_a_release_decided_before_the_customer_was_told_keeps_both(world: World) -> None:
    order = a_declined_order(world.orders)
    releasing, telling = released(order), told(order)
    world.orders.commit([telling])
    stored = made(world.orders, releasing)
    assert stored == replace(releasing.after, notified_at=telling.after.notified_at)
    assert stored.opened_at is not None


def test_notified_and_cleared_at_the_same_time_leave_the_order_to_the_next_close(world: World) -> None:
    order = made(world.orders, released(a_declined_order(world.orders)))
    notified, cleared = told(order), steps.close(order)
    world.orders.commit([notified])
    stored = made(world.orders, cleared)
    assert (stored.outbox, stored.notified_at) == (None, notified.after.notified_at)
    assert stored.opened_at is not None
    assert made(world.orders, steps.close(stored)).opened_at is None


def test_settling_last_clears_the_outbox_and_closes(world: World) -> None:
    order = made(world.orders, released(a_declined_order(world.orders)))
    order = made(world.orders, told(order))
    closed = made(world.orders, steps.close(order))
    assert closed == replace(order, outbox=None, superseded=None, opened_at=None)


def test_telling_last_closes(world: World) -> None:
    order = made(world.orders, released(a_declined_order(world.orders)))
    order = made(world.orders, steps.close(order))
    assert (order.outbox, order.opened_at is None) == (None, False)
    closed = made(world.orders, told(order))
    assert (closed.outbox, closed.opened_at, closed.status) == (None, None, Status.PAYMENT_FAILED)


def test_a_hundred_items_are_one_transaction(world: World) -> None:
    product = a_product(world.products, stock=99)
    transitions = [reserved(a_placed_order(world.orders, a_line())) for _ in range(MAX_TRANSACTION_ITEMS - 1)]
    world.orders.commit(transitions, {product.product_id: -99})
    stored = world.orders.read([transition.after.order_id for transition in transitions])
    assert all(stored[transition.after.order_id] == transition.after for transition in transitions)
    assert stock_of(world, product.product_id) == 0


def test_more_than_a_hundred_items_are_refused(world: World) -> None:
    order = a_placed_order(world.orders)
    products = {fresh_id("PROD"): -1 for _ in range(MAX_TRANSACTION_ITEMS)}
    with pytest.raises(ValueError, match="100"):
        world.orders.commit([reserved(order)], products)
    assert standing(world.orders, order) == order


def test_an_order_cannot_change_twice_in_one_commit(world: World) -> None:
    order = a_placed_order(world.orders)
    with pytest.raises(ValueError, match="twice"):
        world.orders.commit([reserved(order), refused(order)])
    assert standing(world.orders, order) == order
