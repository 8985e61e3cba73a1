"""One order cannot hurt another, and none is lost: the faults that a review of the running system found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from shopflow.domain.order import EventType, Status
from shopflow.errors import Contention, Unavailable
from shopflow.messaging.outbox import Publisher
from shopflow.ports import Charge, Outgoing
from tests.faults.injections import GATEWAY
from tests.system import CONTRACTS, System, service_of
from tests.taps import Crash
from workers.outbound import MAX_REMEMBERED

VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"
NEIGHBOURS = 9
DAY = 24 * 3600


class Fault:
    """A tap that does ``instead`` of each call of ``method`` by ``service``, while it is ``on``."""

    def __init__(self, service: str, method: str, instead: Callable[[partial[Any]], Any]) -> None:
        self.on = True
        self._meant = (service, method)
        self._instead = instead

    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        meant = self.on and (service_of(service), method) == self._meant
        return self._instead(call) if meant else call()


def refuse(_: partial[Any]) -> Any:
    raise Contention("throttled")


def for_order(key: str, instead: Callable[[partial[Any]], Any]) -> Callable[[partial[Any]], Any]:
    """``instead`` for that order alone."""
    return lambda call: instead(call) if call.args[0] == key else call()


# What a gateway answers is checked where it enters.


@pytest.mark.parametrize("payment_method", [VISA, EXPIRED])
@pytest.mark.parametrize("answer", GATEWAY, ids=range(len(GATEWAY)))
def test_no_answer_of_the_gateway_leaves_an_order_stuck_or_makes_its_neighbours_wait(
    answer: Callable[[Any], Any], payment_method: str
) -> None:
    fault = Fault("payment", "gateway.charge", lambda call: call())
    system = System({"A": 100}, tap=fault)
    bad = system.place({"A": 1}, payment_method).order_id
    fault._instead = for_order(bad, lambda call: answer(call()))
    neighbours = [system.place({"A": 1}, VISA).order_id for _ in range(NEIGHBOURS)]
    system.run(seconds=20)
    assert {system.tables.orders[one].status for one in neighbours} == {Status.COMPLETED}
    system.run(seconds=3600)
    order = system.tables.orders[bad]
    unsettled = order.status is Status.INVENTORY_RESERVED
    assert unsettled or order.opened_at is None, "either nothing is committed, or the order comes to its end"
    assert not unsettled or system.dlqs["payment"].depth().waiting == 1, "and then its message waits for an operator"
    fault.on = False
    system.redrive()
    assert system.run_until_quiet()
    assert system.tables.orders[bad].opened_at is None


def test_a_charge_over_another_amount_is_never_recorded() -> None:
    fault = Fault("payment", "gateway.charge", lambda call: Charge("TXN-1", Decimal("0.01")) if call() else None)
    system = System({"A": 1}, tap=fault)
    order = system.place({"A": 1}, VISA)
    system.run(seconds=600)
    assert system.tables.orders[order.order_id].charged_amount is None


@pytest.mark.parametrize(
    ("reason", "recorded"),
    [("", "The payment was declined"), (None, "The payment was declined"), ("\x00\n ", "The payment was declined")],
)
def test_a_decline_without_a_usable_reason_is_a_decline_all_the_same(reason: Any, recorded: str) -> None:
    fault = Fault("payment", "gateway.charge", lambda call: replace(call(), reason=reason))
    system = System({"A": 5}, tap=fault)
    order = system.place({"A": 1}, EXPIRED)
    assert system.run_until_quiet()
    final = system.tables.orders[order.order_id]
    assert (final.status, final.failure_reason) == (Status.PAYMENT_FAILED, recorded)
    assert system.tables.products["A"].stock == 5


def test_a_reason_that_is_too_long_is_cut() -> None:
    fault = Fault("payment", "gateway.charge", lambda call: replace(call(), reason="x" * 501))
    system = System({"A": 5}, tap=fault)
    order = system.place({"A": 1}, EXPIRED)
    assert system.run_until_quiet()
    assert system.tables.orders[order.order_id].failure_reason == "x" * 499 + "…"


# One order blocks no queue.


def test_orders_are_paid_while_the_gateway_is_down_for_one_of_them() -> None:
    fault = Fault("payment", "gateway.charge", lambda call: call())
    system = System({"A": 100}, tap=fault)
    bad = system.place({"A": 1}, VISA).order_id
    fault._instead = for_order(bad, refuse)
    system.run(seconds=60)
    later = [system.place({"A": 1}, VISA).order_id for _ in range(25)]
    system.run(seconds=60)
    assert {system.tables.orders[one].status for one in later} == {Status.COMPLETED}
    system.run(seconds=6 * 3600)
    assert not system.dlqs["payment"].depth().waiting
    fault.on = False
    assert system.run_until_quiet()


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
def test_calls_that_hang_until_their_time_limit_send_nothing_to_the_dlq(
    service: str, method: str, payment_method: str
) -> None:
    """Of the services that make their calls one after the other: payment makes those of a batch at once."""

    def hang(_: partial[Any]) -> Any:
        system.clock.advance(21)
        raise Unavailable("no answer")

    fault = Fault(service, method, hang)
    system = System({"A": 100}, tap=fault)
    for _ in range(12):
        system.place({"A": 1}, payment_method)
    system.run(seconds=3600)
    assert not any(dlq.depth().waiting for dlq in system.dlqs.values())
    fault.on = False
    assert system.run_until_quiet()


def test_a_hand_written_time_of_another_form_makes_nobody_try_for_ever() -> None:
    system = System({"A": 5})
    order = system.place({"A": 1}, EXPIRED)
    assert system.run_until_quiet()
    rows = system.tables.orders.items_by_id
    rows[order.order_id] = {**rows[order.order_id], "releasedAt": {"S": "2023-11-14T22:13:20Z"}}
    assert system.twins.orders.read([order.order_id]) == {}


def test_two_events_about_one_order_in_a_batch_keep_no_other_from_being_published() -> None:
    system = System({"A": 100}, relay=False)
    orders = [system.place({"A": 1}, VISA) for _ in range(5)]
    [first, *_] = system.queues["inventory"].receive(10, 0)
    forged = replace(CONTRACTS.decode(first.body), event_id="01KG9YS7G00000000000000001")
    system.queues["inventory"].send(CONTRACTS.encode(forged))
    system.clock.advance(61)
    assert system.run_until_quiet()
    assert {system.tables.orders[order.order_id].status for order in orders} == {Status.COMPLETED}


def test_a_republication_that_the_topic_refuses_is_tried_again_an_hour_later() -> None:
    refusals = iter([True, True])

    def refuse_twice(call: partial[Any]) -> Any:
        if next(refusals, False):
            raise Unavailable("no topic")
        return call()

    fault = Fault("relay", "topic.publish", refuse_twice)
    system = System({"A": 1}, tap=fault)
    order = system.place({"A": 1}, VISA)
    for name in ("audit", "audit"):
        system.step(name)
    system.queues["inventory"].delete(system.queues["inventory"].receive(10, 0))
    system.clock.advance(14 * DAY + 3600)
    assert system.run_until_quiet(3 * 3600)
    assert system.tables.orders[order.order_id].status is Status.COMPLETED


# One mail, and one more for each death.


@pytest.mark.parametrize("seconds", [600, 3600, DAY])
def test_an_outage_of_the_orders_table_costs_no_second_mail(seconds: float) -> None:
    fault = Fault("notification", "orders.commit", refuse)
    system = System({"A": 1}, tap=fault)
    order = system.place({"A": 1}, VISA)
    system.run(seconds)
    assert system.mailer.sent[order.order_id] == 1
    fault.on = False
    assert system.run_until_quiet()
    assert system.mailer.sent[order.order_id] == 1


def test_each_death_of_the_sender_costs_one_more_mail() -> None:
    deaths = iter([True, True])

    def die(call: partial[Any]) -> Any:
        if next(deaths, False):
            raise Crash
        return call()

    system = System({"A": 1}, tap=Fault("notification", "orders.commit", die))
    order = system.place({"A": 1}, VISA)
    assert system.run_until_quiet()
    assert system.mailer.sent[order.order_id] == 3


def test_a_mailer_that_sends_and_does_not_answer_is_asked_ever_more_seldom() -> None:
    def send_and_lose(call: partial[Any]) -> Any:
        call()
        raise Unavailable("the answer was lost")

    fault = Fault("notification", "mailer.send", send_and_lose)
    system = System({"A": 1}, tap=fault)
    order = system.place({"A": 1}, VISA)
    system.run(seconds=3600)
    assert 2 <= system.mailer.sent[order.order_id] <= 8
    fault.on = False
    assert system.run_until_quiet()
    assert system.tables.orders[order.order_id].status is Status.COMPLETED


def test_what_is_remembered_of_mails_is_bounded() -> None:
    system = System({"A": 10})
    outbound = system.consumers["notification"]._handler._outbound  # type: ignore[attr-defined]
    for number in range(MAX_REMEMBERED + 5):
        outbound._remember(f"ORD-{number}", object())
    assert len(outbound._mailings) == MAX_REMEMBERED


# One event fails alone.


def test_an_event_from_the_end_of_time_goes_to_its_dlq_and_its_neighbours_are_served() -> None:
    system = System({"A": 100})
    orders = [system.place({"A": 1}, VISA) for _ in range(NEIGHBOURS)]
    late = system.place({"A": 1}, VISA)
    queue = system.queues["inventory"]
    texts = [message.body for message in queue.receive(10, 0)]
    queue.delete(queue.receive(10, 0))
    system.clock.advance(61)
    queue.delete(queue.receive(10, 0))
    for text in texts:
        event = CONTRACTS.decode(text)
        if event.order_id == late.order_id:
            event = replace(event, time_ms=253402300799999)
        queue.send(CONTRACTS.encode(event))
    system.run(seconds=600)
    assert {system.tables.orders[order.order_id].status for order in orders} == {Status.COMPLETED}
    assert system.dlqs["inventory"].depth().waiting == 1


def test_a_row_of_a_product_that_cannot_be_read_fails_its_own_orders_and_can_be_mended() -> None:
    system = System({"A": 100, "B": 100})
    bad = system.place({"B": 1}, VISA)
    rows = system.tables.products.items_by_id
    sound = rows["B"]
    rows["B"] = {**sound, "price": {"N": "1.005"}}
    others = [system.place({"A": 1}, VISA) for _ in range(NEIGHBOURS)]
    system.run(seconds=600)
    assert {system.tables.orders[order.order_id].status for order in others} == {Status.COMPLETED}
    assert system.tables.orders[bad.order_id].status is Status.PENDING, "not refused: the product exists"
    assert system.dlqs["inventory"].depth().waiting == 1
    rows["B"] = sound
    system.redrive()
    assert system.run_until_quiet()
    assert system.tables.orders[bad.order_id].status is Status.COMPLETED


def test_an_order_row_that_cannot_be_read_keeps_nobody_from_anything() -> None:
    system = System({"A": 100})
    bad = system.place({"A": 1}, VISA)
    rows = system.tables.orders.items_by_id
    sound = rows[bad.order_id]
    rows[bad.order_id] = {**sound, "status": {"S": "PAID"}}
    others = [system.place({"A": 1}, VISA) for _ in range(NEIGHBOURS)]
    system.run(seconds=600)
    assert {system.tables.orders[order.order_id].status for order in others} == {Status.COMPLETED}
    rows[bad.order_id] = sound
    system.redrive()
    assert system.run_until_quiet()


# A publish fails for its own event only.


def test_a_text_that_the_topic_refuses_keeps_no_other_from_being_published() -> None:
    class Picky:
        def __init__(self) -> None:
            self.taken: list[str] = []

        def publish(self, batch: Any) -> frozenset[str]:
            if any("bad" in event.text for event in batch):
                raise ValueError("InvalidParameter")
            self.taken += [event.event_id for event in batch]
            return frozenset()

    topic = Picky()
    events = [Outgoing(str(number), EventType.ORDER_CREATED, "bad" if number == 4 else "good") for number in range(10)]
    assert Publisher(topic).publish(events) == frozenset(topic.taken)
    assert sorted(topic.taken) == [str(number) for number in range(10) if number != 4]


# No queue keeps a message for ever.


@pytest.mark.parametrize("away", ["inventory", "payment", "notification"])
def test_what_no_queue_holds_any_more_is_published_again_once(away: str) -> None:
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
    assert len(published) == 1, "once in 14 days"
    fault.on = False
    assert system.run_until_quiet(2 * DAY)
    assert system.tables.orders[order.order_id].status is Status.COMPLETED
