"""The saga: its paths, and the seams of the rules in docs/architecture.md, over the in-memory twins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shopflow.domain.order import LEGAL_TRAILS, Order, Status
from shopflow.errors import Contention, Unavailable
from tests.system import CATALOG, CONTRACTS, Crash, System

CONSUMED = {service.name: service.consumes for service in CATALOG.consumers}
VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"


def _trail(system: System, order_id: str) -> tuple[str, ...]:
    return tuple(entry.event.event_type for entry in system.audit.trail(order_id))


def _ends(system: System, order: Order, status: Status) -> Order:
    """The order as it stands, once everything is quiet; checked for all that its status promises."""
    assert system.run_until_quiet()
    final = system.tables.orders[order.order_id]
    assert (final.status, final.opened_at, final.outbox) == (status, None, None)
    assert _trail(system, order.order_id) == LEGAL_TRAILS[status]
    assert system.mailer.sent[order.order_id] >= 1
    return final


def _stock(system: System, name: str = "A") -> int:
    return system.tables.products[name].stock


def test_a_paid_order_is_completed() -> None:
    system = System({"A": 5})
    order = _ends(system, system.place({"A": 2}, VISA), Status.COMPLETED)
    assert _stock(system) == 3
    assert order.transaction_id is not None
    assert system.gateway.charges == {order.order_id: 1}
    assert system.mailer.sent == {order.order_id: 1}


def test_an_order_beyond_the_stock_fails_naming_the_product_and_is_not_charged() -> None:
    system = System({"A": 1})
    order = _ends(system, system.place({"A": 2}, VISA), Status.INVENTORY_FAILED)
    assert order.failure_reason == "Insufficient stock for Name of A (A): available 1, requested 2"
    assert _stock(system) == 1
    assert not system.gateway.charges


def test_a_declined_order_gives_its_stock_back() -> None:
    system = System({"A": 5, "B": 5})
    order = _ends(system, system.place({"A": 2, "B": 1}, EXPIRED), Status.PAYMENT_FAILED)
    assert (_stock(system, "A"), _stock(system, "B")) == (5, 5)
    assert order.failure_reason == "Card expired"


def test_of_many_orders_for_the_last_units_exactly_as_many_win() -> None:
    system = System({"A": 10})
    orders = [system.place({"A": 1}, VISA) for _ in range(50)]
    assert system.run_until_quiet()
    statuses = [system.tables.orders[order.order_id].status for order in orders]
    assert (statuses.count(Status.COMPLETED), statuses.count(Status.INVENTORY_FAILED)) == (10, 40)
    assert _stock(system) == 0


def test_an_order_with_more_lines_than_fit_beside_others_is_reserved_in_a_transaction_of_its_own() -> None:
    system = System({f"P{number}": 9 for number in range(99)})
    orders = [system.place({f"P{number}": 1 for number in range(start, start + 50)}, VISA) for start in (0, 49)]
    for order in orders:
        _ends(system, order, Status.COMPLETED)


@pytest.mark.parametrize("service", ["inventory", "payment", "notification", "audit"])
@pytest.mark.parametrize("method", [VISA, EXPIRED])
def test_a_message_that_comes_three_times_changes_nothing_the_second_and_third_time(service: str, method: str) -> None:
    system = System({"A": 5})
    order = system.place({"A": 2}, method)
    assert system.run_until_quiet()
    final, stock, sent = system.tables.orders[order.order_id], _stock(system), dict(system.mailer.sent)
    trail = system.audit.trail(order.order_id)
    for entry in trail * 3:
        if entry.event.event_type in CONSUMED[service]:
            system.queues[service].send(CONTRACTS.encode(entry.event))
    assert system.run_until_quiet()
    assert system.tables.orders[order.order_id] == final
    assert (_stock(system), dict(system.mailer.sent)) == (stock, sent)
    assert system.audit.trail(order.order_id) == trail
    assert system.dlqs[service].depth().waiting == 0


class Fault:
    """Does something at the ``nth`` call of ``method`` by ``service``: before it, or after it."""

    def __init__(self, service: str, method: str, act: Callable[[Callable[[], Any]], Any], nth: int = 1) -> None:
        self.service, self.method, self.act, self.left = service, method, act, nth

    def __call__(self, service: str, method: str, call: Callable[[], Any]) -> Any:
        if (service, method) == (self.service, self.method):
            self.left -= 1
            if self.left == 0:
                return self.act(call)
        return call()


def _crash(_: Callable[[], Any]) -> Any:
    raise Crash


def _lose_the_answer_and_crash(call: Callable[[], Any]) -> Any:
    call()
    raise Crash


def _raise(error: Exception) -> Callable[[Callable[[], Any]], Any]:
    def act(_: Callable[[], Any]) -> Any:
        raise error

    return act


@pytest.mark.parametrize(
    ("service", "method"), [("order", VISA), ("inventory", VISA), ("payment", VISA), ("inventory", EXPIRED)]
)
def test_what_was_committed_but_not_published_is_published_by_the_relay(service: str, method: str) -> None:
    nth = 2 if (service, method) == ("inventory", EXPIRED) else 1
    system = System({"A": 5}, tap=Fault(service, "topic.publish", _crash, nth))
    key = "client-key"
    try:
        order = system.place({"A": 2}, method, key)
    except Crash:
        order = system.place({"A": 2}, method, key)
    _ends(system, order, Status.COMPLETED if method == VISA else Status.PAYMENT_FAILED)
    assert len(system.tables.orders) == 1


def test_a_charge_whose_commit_was_lost_is_tried_again_and_paid_once() -> None:
    system = System({"A": 5}, tap=Fault("payment", "orders.commit", _crash))
    order = _ends(system, system.place({"A": 2}, VISA), Status.COMPLETED)
    assert system.gateway.charges[order.order_id] == 1


def test_contention_over_stock_is_no_lack_of_stock() -> None:
    system = System({"A": 5}, tap=Fault("inventory", "orders.commit", _raise(Contention("TransactionConflict"))))
    _ends(system, system.place({"A": 2}, VISA), Status.COMPLETED)


@pytest.mark.parametrize("service", ["inventory", "payment", "notification"])
def test_an_outage_in_the_middle_of_a_step_loses_nothing(service: str) -> None:
    outage = _raise(Unavailable("DynamoDB"))
    system = System({"A": 5}, tap=Fault(service, "orders.commit", outage))
    _ends(system, system.place({"A": 2}, VISA), Status.COMPLETED)
    assert all(dlq.depth().waiting == 0 for dlq in system.dlqs.values())


@pytest.mark.parametrize("service", ["inventory", "payment"])
def test_a_commit_that_was_made_in_an_outage_is_not_made_again(service: str) -> None:
    def unknown_outcome(call: Callable[[], Any]) -> Any:
        call()
        raise Unavailable("the answer was lost")

    system = System({"A": 5}, tap=Fault(service, "orders.commit", unknown_outcome))
    _ends(system, system.place({"A": 2}, VISA), Status.COMPLETED)
    assert _stock(system) == 3


def test_a_gateway_that_is_down_holds_the_payments_until_it_is_back() -> None:
    down = True

    def tap(service: str, method: str, call: Callable[[], Any]) -> Any:
        if method == "gateway.charge" and down:
            raise Unavailable("gateway")
        return call()

    system = System({"A": 50}, tap=tap)
    orders = [system.place({"A": 1}, VISA) for _ in range(30)]
    system.run(600)
    down = False
    for order in orders:
        _ends(system, order, Status.COMPLETED)
    assert system.dlqs["payment"].depth().waiting == 0


def test_an_event_of_an_order_that_does_not_exist_goes_to_the_dlq_within_seconds() -> None:
    system = System({"A": 5})
    order = system.place({"A": 2}, VISA)
    del system.tables.orders[order.order_id], system.tables.opened[order.order_id]
    system.run(5)
    assert system.dlqs["inventory"].depth().waiting == 1


def test_an_event_that_never_happened_to_its_order_goes_to_the_dlq() -> None:
    system = System({"A": 1})
    order = system.place({"A": 2}, VISA)
    assert system.run_until_quiet()
    forged = CONTRACTS.encode(system.audit.trail(order.order_id)[0].event)
    forged = forged.replace("order.created", "inventory.reserved").replace("PENDING", "INVENTORY_RESERVED")
    system.queues["payment"].send(forged)
    system.run(5)
    assert system.dlqs["payment"].depth().waiting == 1
    assert not system.gateway.charges


def test_a_post_whose_answer_was_lost_makes_one_order() -> None:
    system = System({"A": 5}, tap=Fault("order", "orders.create", _lose_the_answer_and_crash))
    with pytest.raises(Crash):
        system.place({"A": 2}, VISA, "client-key")
    order = system.place({"A": 2}, VISA, "client-key")
    _ends(system, order, Status.COMPLETED)
    assert list(system.tables.orders) == [order.order_id]


def test_an_order_that_the_relay_cannot_finish_does_not_keep_it_from_the_others() -> None:
    def nothing_is_published_by_the_api(service: str, method: str, call: Callable[[], Any]) -> Any:
        if (service, method) == ("order", "topic.publish"):
            raise Crash
        return call()

    system = System({"A": 5}, tap=nothing_is_published_by_the_api)
    for key in ("first", "second"):
        with pytest.raises(Crash):
            system.place({"A": 1}, VISA, key)
    broken = next(iter(system.tables.orders.values()))
    system.tables.put_order(replace(broken, customer_id="a\tb"))
    system.run(120)
    assert [order.status for order in system.tables.orders.values()] == [Status.PENDING, Status.COMPLETED]
