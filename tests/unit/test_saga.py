"""The saga over the in-memory twins: its paths, and what a fault does to one order and to its neighbours."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from shopflow.domain.order import LEGAL_TRAILS, Order, Status
from shopflow.errors import Unavailable
from tests.faults.injections import DAY, Instead, lose_the_answer, refuse
from tests.faults.scenarios import EXPIRED, VISA
from tests.system import CATALOG, CONTRACTS, System, service_of
from tests.taps import Crash

CONSUMED = {service.name: service.consumes for service in CATALOG.consumers}
STOCK = {"A": 100, "B": 100}


class Fault:
    """A tap that does ``instead`` of a call of ``method`` by ``service``: the ``nth``, or each while it is ``on``."""

    def __init__(self, service: str, method: str, instead: Instead, nth: int | None = None) -> None:
        self.on = True
        self._meant = (service, method)
        self._instead = instead
        self._nth = nth
        self._calls = 0

    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        if (service_of(service), method) != self._meant:
            return call()
        self._calls += 1
        return self._instead(call) if self.on and self._nth in (None, self._calls) else call()


def crash(_: partial[Any]) -> Any:
    raise Crash


def changed(**fields: Any) -> Instead:
    """The true answer, with other ``fields``."""
    return lambda call: replace(call(), **fields)


def ends(system: System, order: Order, status: Status) -> Order:
    """The order when nothing is left to do, checked for all that its status promises."""
    assert system.run_until_quiet()
    final = system.tables.orders[order.order_id]
    assert (final.status, final.opened_at, final.outbox) == (status, None, None)
    assert tuple(entry.event.event_type for entry in system.audit.trail(order.order_id)) == LEGAL_TRAILS[status]
    assert system.mailer.sent[order.order_id] >= 1
    return final


def statuses(system: System, orders: list[Order]) -> list[Status]:
    return [system.tables.orders[order.order_id].status for order in orders]


def dead_letters(system: System) -> dict[str, int]:
    depths = {service: dlq.depth().waiting for service, dlq in system.dlqs.items()}
    return {service: waiting for service, waiting in depths.items() if waiting}


# The paths


def test_the_log_line_of_every_charge_says_that_the_gateway_is_simulated(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="workers.payment")
    system = System({"A": 5})
    for payment_method in (VISA, EXPIRED):
        system.place({"A": 1}, payment_method)
    assert system.run_until_quiet()
    assert [record.getMessage().partition(" (")[2] for record in caplog.records] == ["simulated gateway)"] * 2


def test_orders_whose_lines_do_not_fit_into_one_transaction_are_reserved_one_by_one() -> None:
    system = System({f"P{number}": 9 for number in range(99)})
    orders = [system.place({f"P{number}": 1 for number in range(start, start + 50)}, VISA) for start in (0, 49)]
    for order in orders:
        ends(system, order, Status.COMPLETED)


@pytest.mark.parametrize("service", CONSUMED)
@pytest.mark.parametrize("payment_method", [VISA, EXPIRED])
def test_a_message_that_comes_again_changes_nothing(service: str, payment_method: str) -> None:
    system = System({"A": 5})
    order = system.place({"A": 2}, payment_method)
    assert system.run_until_quiet()

    def state() -> tuple[object, ...]:
        trail = system.audit.trail(order.order_id)
        return system.tables.orders[order.order_id], system.tables.products["A"], dict(system.mailer.sent), trail

    before = state()
    for entry in system.audit.trail(order.order_id) * 3:
        if entry.event.event_type in CONSUMED[service]:
            system.queues[service].send(CONTRACTS.encode(entry.event))
    assert system.run_until_quiet()
    assert state() == before
    assert dead_letters(system) == {}


# A fault in the middle of a step


def test_payments_wait_while_the_gateway_is_down() -> None:
    fault = Fault("payment", "gateway.charge", refuse)
    system = System(STOCK, tap=fault)
    orders = [system.place({"A": 1}, VISA) for _ in range(30)]
    system.run(600)
    fault.on = False
    for order in orders:
        ends(system, order, Status.COMPLETED)
    assert dead_letters(system) == {}


@pytest.mark.parametrize(
    ("service", "method"),
    [
        ("inventory", "orders.commit"),
        ("inventory", "products.read"),
        ("notification", "orders.commit"),
        ("notification", "mailer.send"),
        ("audit", "audit.insert"),
    ],
)
@pytest.mark.parametrize("payment_method", [VISA, EXPIRED])
def test_calls_that_hang_until_their_time_limit_make_no_dead_letter(
    service: str, method: str, payment_method: str
) -> None:
    """Of the services that make their calls one after the other. Payment makes those of a batch at the same time."""

    def hang(_: partial[Any]) -> Any:
        system.clock.advance(21)
        raise Unavailable("no answer")

    fault = Fault(service, method, hang)
    system = System(STOCK, tap=fault)
    for _ in range(12):
        system.place({"A": 1}, payment_method)
    system.run(seconds=3600)
    assert dead_letters(system) == {}
    fault.on = False
    assert system.run_until_quiet()


# What a gateway answers


def test_a_charge_of_another_amount_is_never_recorded() -> None:
    fault = Fault("payment", "gateway.charge", changed(amount=Decimal("0.01")))
    system = System({"A": 1}, tap=fault)
    order = system.place({"A": 1}, VISA)
    system.run(seconds=600)
    assert system.tables.orders[order.order_id].charged_amount is None
    assert dead_letters(system) == {"payment": 1}


@pytest.mark.parametrize(
    ("reason", "recorded"),
    [
        ("", "The payment was declined"),
        (None, "The payment was declined"),
        ("\x00\n ", "The payment was declined"),
        ("x" * 501, "x" * 499 + "…"),
    ],
)
def test_a_decline_is_a_decline_whatever_its_reason_says(reason: Any, recorded: str) -> None:
    system = System({"A": 5}, tap=Fault("payment", "gateway.charge", changed(reason=reason)))
    order = ends(system, system.place({"A": 1}, EXPIRED), Status.PAYMENT_FAILED)
    assert order.failure_reason == recorded
    assert system.tables.products["A"].stock == 5


# One order and its neighbours


def test_an_event_of_an_order_that_does_not_exist_is_a_dead_letter_within_seconds() -> None:
    system = System({"A": 5})
    order = system.place({"A": 2}, VISA)
    del system.tables.orders[order.order_id], system.tables.opened[order.order_id]
    system.run(5)
    assert dead_letters(system) == {"inventory": 1}


def test_an_event_that_never_happened_to_its_order_is_a_dead_letter() -> None:
    system = System({"A": 1})
    order = system.place({"A": 2}, VISA)
    assert system.run_until_quiet()
    forged = CONTRACTS.encode(system.audit.trail(order.order_id)[0].event)
    forged = forged.replace("order.created", "inventory.reserved").replace("PENDING", "INVENTORY_RESERVED")
    system.queues["payment"].send(forged)
    system.run(5)
    assert dead_letters(system) == {"payment": 1}
    assert not system.gateway.charges


def test_an_event_that_nothing_can_follow_is_a_dead_letter_and_the_rest_of_its_batch_is_processed() -> None:
    system = System(STOCK)
    orders = [system.place({"A": 1}, VISA) for _ in range(9)]
    [message, *_] = system.queues["inventory"].receive(1, 0)
    event = CONTRACTS.decode(message.body)
    system.queues["inventory"].send(CONTRACTS.encode(replace(event, time_ms=253402300799999)))
    system.queues["inventory"].delete([message])
    system.run(seconds=600)
    assert sorted(statuses(system, orders)) == [Status.COMPLETED] * 8 + [Status.PENDING]
    assert dead_letters(system) == {"inventory": 1}


def test_an_order_of_a_product_whose_row_cannot_be_read_waits_for_the_repair_and_is_not_refused() -> None:
    system = System(STOCK)
    order = system.place({"B": 1}, VISA)
    rows = system.tables.products.data
    intact, rows["B"] = rows["B"], {**rows["B"], "price": {"N": "1.005"}}
    others = [system.place({"A": 1}, VISA) for _ in range(9)]
    system.run(seconds=600)
    assert set(statuses(system, others)) == {Status.COMPLETED}
    assert statuses(system, [order]) == [Status.PENDING]
    rows["B"] = intact
    system.redrive()
    ends(system, order, Status.COMPLETED)


def test_an_order_that_the_relay_cannot_finish_does_not_keep_it_from_the_others() -> None:
    system = System({"A": 5}, tap=Fault("order", "topic.publish", crash))
    for key in ("first", "second"):
        with pytest.raises(Crash):
            system.place({"A": 1}, VISA, key)
    broken = next(iter(system.tables.orders.values()))
    system.tables.put_order(replace(broken, customer_id="a\tb"))
    system.run(120)
    assert [order.status for order in system.tables.orders.values()] == [Status.PENDING, Status.COMPLETED]


# Mails


@pytest.mark.parametrize("seconds", [600, DAY])
def test_an_outage_of_the_orders_table_costs_no_second_mail(seconds: float) -> None:
    fault = Fault("notification", "orders.commit_each", refuse)
    system = System({"A": 1}, tap=fault)
    order = system.place({"A": 1}, VISA)
    system.run(seconds)
    fault.on = False
    ends(system, order, Status.COMPLETED)
    assert system.mailer.sent[order.order_id] == 1


def test_each_crash_before_the_mail_is_recorded_costs_one_more_mail() -> None:
    crashes = iter([crash, crash])
    system = System(
        {"A": 1}, tap=Fault("notification", "orders.commit_each", lambda call: next(crashes, partial.__call__)(call))
    )
    order = ends(system, system.place({"A": 1}, VISA), Status.COMPLETED)
    assert system.mailer.sent[order.order_id] == 3


def test_a_mailer_that_sends_but_does_not_answer_is_asked_less_and_less_often() -> None:
    fault = Fault("notification", "mailer.send", lose_the_answer)
    system = System({"A": 1}, tap=fault)
    order = system.place({"A": 1}, VISA)
    system.run(seconds=3600)
    assert 2 <= system.mailer.sent[order.order_id] <= 8
    fault.on = False
    ends(system, order, Status.COMPLETED)


# What no queue holds any more


@pytest.mark.parametrize("away", ["inventory", "payment", "notification"])
def test_the_relay_publishes_what_no_queue_holds_any_more_once_in_14_days(away: str) -> None:
    fault = Fault(away, "queue.receive", refuse)
    published: list[str] = []

    def tap(service: str, method: str, call: partial[Any]) -> Any:
        if (service, method) == ("relay", "topic.publish"):
            published.extend(event.event_id for event in call.args[0])
        return fault(service, method, call)

    system = System({"A": 1}, tap=tap)
    order = system.place({"A": 1}, VISA)
    system.run(60)
    for _ in range(27 * 24):  # 27 days, a sweep an hour
        system.clock.advance(3600)
        system.sweep()
    assert len(published) == 1
    fault.on = False
    assert system.run_until_quiet(2 * DAY)
    assert statuses(system, [order]) == [Status.COMPLETED]


def test_a_republication_that_the_topic_refuses_is_tried_again_an_hour_later() -> None:
    refusals = iter([refuse, refuse])
    system = System({"A": 1}, tap=Fault("relay", "topic.publish", lambda call: next(refusals, partial.__call__)(call)))
    order = system.place({"A": 1}, VISA)
    system.step("audit")
    system.queues["inventory"].delete(system.queues["inventory"].receive(10, 0))
    system.clock.advance(14 * DAY + 3600)
    assert system.run_until_quiet(3 * 3600)
    assert statuses(system, [order]) == [Status.COMPLETED]
