"""The saga over the in-memory twins: what no crash point and no storm of `tests.faults` asks for."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from shopflow.domain.order import Status
from shopflow.errors import Unavailable
from shopflow.ports import Decline
from tests.faults.injections import DAY, Instead, lose_the_answer, refuse
from tests.faults.scenarios import EXPIRED, VISA
from tests.system import CATALOG, CONTRACTS, System, service_of
from workers.payment import checked

CONSUMED = {service.name: service.consumes for service in CATALOG.consumers}


class Fault:
    """A tap that does ``instead`` of each call of ``method`` by ``service`` while it is ``on``."""

    def __init__(self, service: str, method: str, instead: Instead) -> None:
        self.on = True
        self._meant = (service, method)
        self._instead = instead

    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        return self._instead(call) if self.on and (service_of(service), method) == self._meant else call()


def statuses(system: System) -> list[Status]:
    return [order.status for order in system.tables.orders.values()]


def dead_letters(system: System) -> dict[str, int]:
    depths = {service: dlq.depth().waiting for service, dlq in system.dlqs.items()}
    return {service: waiting for service, waiting in depths.items() if waiting}


def test_orders_whose_lines_do_not_fit_into_one_transaction_are_reserved_one_by_one() -> None:
    system = System({f"P{number}": 9 for number in range(99)})
    for start in (0, 49):
        system.place({f"P{number}": 1 for number in range(start, start + 50)}, VISA)
    assert system.run_until_quiet()
    assert statuses(system) == [Status.COMPLETED] * 2


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


SLOW = ["inventory orders.commit", "inventory products.read", "notification mailer.send", "audit audit.insert"]


@pytest.mark.parametrize("slow", [*SLOW, "notification orders.commit_each"])
@pytest.mark.parametrize("payment_method", [VISA, EXPIRED])
def test_calls_that_hang_until_their_time_limit_make_no_dead_letter(slow: str, payment_method: str) -> None:
    """Of the services that make their calls one after the other. Payment makes those of a batch at the same time."""

    def hang(_: partial[Any]) -> Any:
        system.clock.advance(21)
        raise Unavailable("no answer")

    service, method = slow.split()
    fault = Fault(service, method, hang)
    system = System({"A": 100}, tap=fault)
    for _ in range(12):
        system.place({"A": 1}, payment_method)
    system.run(seconds=3600)
    assert dead_letters(system) == {}
    fault.on = False
    assert system.run_until_quiet()


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
    assert checked(Decline(reason), Decimal("9.99")) == Decline(recorded)


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


def test_a_mailer_that_sends_but_does_not_answer_is_asked_less_and_less_often() -> None:
    fault = Fault("notification", "mailer.send", lose_the_answer)
    system = System({"A": 1}, tap=fault)
    order = system.place({"A": 1}, VISA)
    system.run(seconds=3600)
    assert 2 <= system.mailer.sent[order.order_id] <= 8
    fault.on = False
    assert system.run_until_quiet()
    assert statuses(system) == [Status.COMPLETED]


def test_the_relay_publishes_what_no_queue_holds_any_more_once_in_14_days() -> None:
    fault = Fault("payment", "queue.receive", refuse)
    published: list[str] = []

    def tap(service: str, method: str, call: partial[Any]) -> Any:
        if (service, method) == ("relay", "topic.publish"):
            published.extend(event.event_id for event in call.args[0])
        return fault(service, method, call)

    system = System({"A": 1}, tap=tap)
    system.place({"A": 1}, VISA)
    system.run(60)
    for _ in range(27 * 24):  # 27 days, a sweep an hour
        system.clock.advance(3600)
        system.sweep()
    assert len(published) == 1
    fault.on = False
    assert system.run_until_quiet(2 * DAY)
    assert statuses(system) == [Status.COMPLETED]


def test_a_republication_that_the_topic_refuses_is_tried_again_an_hour_later() -> None:
    fault = Fault("relay", "topic.publish", refuse)
    system = System({"A": 1}, tap=fault)
    system.place({"A": 1}, VISA)
    system.step("audit")
    system.queues["inventory"].delete(system.queues["inventory"].receive(10, 0))
    system.clock.advance(14 * DAY + 3600)
    system.sweep()
    fault.on = False
    assert system.run_until_quiet(2 * 3600)
    assert statuses(system) == [Status.COMPLETED]
