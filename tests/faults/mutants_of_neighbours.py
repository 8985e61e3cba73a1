"""Deliberate faults by which one order hurts others or is lost for good: what a review found, put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import shopflow.memory.tables
import shopflow.messaging.relay
import workers.inventory
import workers.payment
from shopflow.domain.event import Event
from shopflow.domain.order import Order, release
from shopflow.errors import ContractBreach
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.deferred import DeferredMessages
from shopflow.messaging.handler import Done, Failed, Outcome
from shopflow.messaging.outbox import Publisher
from shopflow.messaging.relay import Relay
from shopflow.ports import Charge, Message, Outgoing
from tests.faults.surgery import Surgery
from workers.dry_run import Kind
from workers.inventory import Inventory
from workers.outbound import Outbound
from workers.payment import Payment


def committed_before_encoded(code: Surgery) -> None:
    """Payment commits what the gateway answered, and only then finds that no event can carry it."""

    def _charge(self: Payment, event: Event, order: Order) -> Outcome:
        if order.holds_stock and order.transaction_id is None and order.failure_reason is None:
            transition = self._ask_gateway(event, order)
            self._orders.commit([transition])
            return Done(publish=self._outbox.outgoing(transition.after))
        return Done()

    code.replace(Payment, "_charge", _charge)


def any_reason_taken(code: Surgery) -> None:
    """Payment takes a decline's reason as it comes: one that no event can carry keeps the order from ever ending."""
    code.replace(workers.payment, "one_line", lambda text, _: text)
    committed_before_encoded(code)


def any_amount_taken(code: Surgery) -> None:
    """Payment does not compare what the gateway charged with what it was asked to charge."""

    def trusting(checked: Any) -> Any:
        return lambda answer, amount: answer if isinstance(answer, Charge) else checked(answer, amount)

    code.wrap(workers.payment, "checked", trusting)


def nothing_received_while_anything_is_held(code: Surgery) -> None:
    """The consumer receives nothing new for as long as it holds a message."""

    def waiting(receive: Any) -> Any:
        def _receive(self: Consumer) -> list[Message]:
            messages: list[Message] = [] if self.has_deferred else receive(self)
            return messages

        return _receive

    code.wrap(Consumer, "_receive", waiting)


def held_messages_let_go(code: Surgery) -> None:
    """The consumer does not hide held messages again: each time they come back is a receive."""
    code.replace(DeferredMessages, "keep_hidden", lambda _: None)


def retried_together(code: Surgery) -> None:
    """Held messages are only ever tried as a batch: one that makes every batch fail takes the others with it."""

    def _retry_due(self: Consumer) -> None:
        if due := self._deferred.due():
            unavailable = self._process(self._deferred.take(due))
            self._deferred.defer_again([one for one in due if one.delivery in unavailable])

    code.replace(Consumer, "_retry_due", _retry_due)


def mails_forgotten(code: Surgery) -> None:
    """Notification forgets what it has sent when it cannot record it."""
    code.replace(Outbound, "_remember", lambda *_: None)


def batch_fails_as_a_whole(code: Surgery) -> None:
    """Inventory fails every order of a batch when one of them raises an error."""

    def _one_by_one(self: Inventory, orders: Sequence[Order], causes: Mapping[str, Event]) -> dict[str, Outcome]:
        return {order.order_id: Failed(KeyError("one of them")) for order in orders}

    code.replace(Inventory, "_one_by_one", _one_by_one)


def nothing_published_again_after_retention(code: Surgery) -> None:
    """The relay leaves an order alone once its event has a receipt, though SQS has deleted every copy since."""
    code.replace(shopflow.messaging.relay, "has_outlived_its_copies", lambda *_: False)


def superseded_event_forgotten(code: Surgery) -> None:
    """A release forgets the event that it replaces in the outbox."""

    def forgetting(order: Order, header: Any) -> Any:
        transition = release(order, header)
        return replace(transition, after=replace(transition.after, superseded=None))

    code.replace(workers.inventory, "release", forgetting)


def future_orders_never_due(code: Surgery) -> None:
    """The relay waits until an order that a wrong clock dated ahead has come of age."""

    def patient(is_due: Any) -> Any:
        return lambda opened_at, *rest: opened_at <= rest[1] and is_due(opened_at, *rest)

    code.wrap(shopflow.messaging.relay, "is_due", patient)


def sweep_cut_short_by_one_order(code: Surgery) -> None:
    """The relay's sweep ends at the first order that it cannot look at, and begins there again the next time."""

    def _look_at_all(self: Relay, due: Mapping[str, int | None], now: int) -> dict[str, int | None]:
        for order_id, last_sweep in due.items():
            try:
                self.look_at(order_id, last_sweep, now)
            except Exception:
                return dict(due)
        return {}

    code.replace(Relay, "_look_at_all", _look_at_all)


def publish_fails_as_a_whole(code: Surgery) -> None:
    """A topic that refuses one event's text keeps the publisher from the others, and from telling which were taken."""

    def _publish_batch(self: Publisher, batch: Sequence[Outgoing]) -> frozenset[str]:
        return self._topic.publish(batch)

    code.replace(Publisher, "_publish_batch", _publish_batch)


def misrouted_dead_lettered(code: Surgery) -> None:
    """The consumer takes a sound event in the wrong queue for poison."""

    def strict(decoded: Any) -> Any:
        def _decode(self: Consumer, messages: Sequence[Message]) -> Any:
            wrong = [one for one in messages if self._is_misrouted(one)]  # type: ignore[attr-defined]
            self._nack(dict.fromkeys(wrong, 0))
            return decoded(self, [one for one in messages if one not in wrong])

        return _decode

    def is_misrouted(self: Consumer, message: Message) -> bool:
        try:
            return self._contracts.decode(message.body).event_type not in self._consumes
        except ContractBreach:
            return False

    code.wrap(Consumer, "_decode", strict)
    code.add(Consumer, "_is_misrouted", is_misrouted)


def purge_of_what_would_succeed(code: Surgery) -> None:
    """The operator's purge deletes whatever is not known to be done, also what could be processed."""
    code.replace(Kind, "would_fail", property(lambda kind: kind is not Kind.DONE))
    code.replace(Kind, "would_succeed", property(lambda kind: kind is Kind.DONE))


OF_NEIGHBOURS = (
    committed_before_encoded,
    any_reason_taken,
    any_amount_taken,
    nothing_received_while_anything_is_held,
    held_messages_let_go,
    retried_together,
    mails_forgotten,
    batch_fails_as_a_whole,
    nothing_published_again_after_retention,
    superseded_event_forgotten,
    future_orders_never_due,
    sweep_cut_short_by_one_order,
    publish_fails_as_a_whole,
    misrouted_dead_lettered,
    purge_of_what_would_succeed,
)
