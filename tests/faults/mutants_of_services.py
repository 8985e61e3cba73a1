"""Deliberate faults in the services. Each says in its docstring what the code does then."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import workers.inventory
import workers.notification
from api.placing import MAX_PROBES, PlaceOrder, order_id
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Order, Status, Transition, decline, refuse, release
from shopflow.domain.stock import Plan, Product, plan, returned
from shopflow.errors import Conflict, Contention, Unavailable
from shopflow.messaging.handler import Done, Outcome
from shopflow.messaging.relay import Relay
from shopflow.ports import Outgoing
from tests.faults.surgery import Instead, Surgery
from workers.audit import Audit
from workers.inventory import Inventory
from workers.notification import Notification, mail_about
from workers.payment import Payment


def publish_before_commit(code: Surgery) -> None:
    """The API publishes `order.created` before it saves the order."""
    publish = PlaceOrder._publish_created

    def publishing_first(save: Any) -> Any:
        def _save(self: PlaceOrder, draft: Order, *args: Any) -> Any:
            publish(self, self._publishable(draft))
            return save(self, draft, *args)

        return _save

    code.wrap(PlaceOrder, "_save", publishing_first)
    code.replace(PlaceOrder, "_publish_created", lambda *_: None)


def no_lost_answer_rule(code: Surgery) -> None:
    """The API takes an order that stands under its key's id for a collision, and goes on to the next id."""

    def _save(self: PlaceOrder, draft: Order, key: str, request: Any) -> tuple[Order, Outgoing]:
        for probe in range(MAX_PROBES):
            attempt = replace(draft, order_id=order_id(key, probe))
            if self._orders.create(attempt) == attempt:
                return attempt, self._publishable(attempt)
        raise Unavailable("no free id")

    code.replace(PlaceOrder, "_save", _save)


def release_guard_missing(code: Surgery) -> None:
    """Two Inventory processes with the same `payment.failed` in hand both return the stock."""

    def unguarded(order: Order, header: Any) -> Transition:
        return replace(release(order, header), guard=("status",))

    code.replace(workers.inventory, "release", unguarded)


def release_twice(code: Surgery) -> None:
    """A redelivered `payment.failed` returns the stock again."""

    def careless(once: Any) -> Any:
        def _release(self: Inventory, event: Event, order: Order) -> Outcome:
            if event.event_type is not EventType.PAYMENT_FAILED or order.released_at is None:
                return cast("Outcome", once(self, event, order))
            again = release(replace(order, released_at=None), self._headers.new(EventType.INVENTORY_RELEASED))
            self._orders.commit([replace(again, guard=("status",))], returned(order))
            return Done(publish=self._outbox.outgoing(again.after))

        return _release

    code.wrap(Inventory, "_release", careless)


def release_never_cleared(code: Surgery) -> None:
    """The relay leaves a published `inventory.released` in the outbox."""
    code.replace(Relay, "_close", lambda *_: False)


def nothing_returned(code: Surgery) -> None:
    """The release of a declined order returns no units."""
    code.replace(workers.inventory, "returned", lambda _: {})


def refusals_committed_apart(code: Surgery) -> None:
    """Inventory commits the refused orders of a batch before the reserved ones, not together with them."""

    def apart(orders: Any) -> Any:
        def commit(transitions: Sequence[Transition], stock: Mapping[str, int] | None = None) -> None:
            refused = [transition for transition in transitions if transition.after.status is Status.INVENTORY_FAILED]
            for transition in refused:
                orders.commit([transition])
            others = [transition for transition in transitions if transition not in refused]
            if others:
                orders.commit(others, stock)

        return Instead(orders, commit=commit)

    code.wrap_field(Inventory, "_orders", apart)


def contention_taken_for_out_of_stock(code: Surgery) -> None:
    """A TransactionConflict, or throttling, refuses the orders of the batch."""

    def refusing(commit: Any) -> Any:
        def _commit(self: Inventory, orders: Sequence[Order], causes: dict[str, Event]) -> Sequence[Transition]:
            try:
                transitions: Sequence[Transition] = commit(self, orders, causes)
            except Contention:
                transitions = [_refusal(self, order, causes[order.order_id]) for order in orders]
                self._orders.commit(transitions)
            return transitions

        return _commit

    code.wrap(Inventory, "_commit", refusing)


def _refusal(inventory: Inventory, order: Order, cause: Event) -> Transition:
    return refuse(order, inventory._headers.new(EventType.INVENTORY_FAILED, cause), "Insufficient stock")


def each_order_planned_last(code: Surgery) -> None:
    """Inventory plans each order of a batch on what all the others leave, as if it had come last."""

    def last(orders: Sequence[Order], products: Mapping[str, Product]) -> Plan:
        refused: dict[str, str] = {}
        for one in orders:
            reasons = plan([*(other for other in orders if other is not one), one], products).refused
            refused |= {one.order_id: reasons[one.order_id]} if one.order_id in reasons else {}
        fitting = plan([order for order in orders if order.order_id not in refused], products)
        return Plan(fitting.taken, {**fitting.refused, **refused})

    code.replace(workers.inventory, "plan", last)


def no_idempotency_key(code: Surgery) -> None:
    """Payment makes up a new key for each try of a charge."""
    tries = itertools.count(1)

    def forgetful(gateway: Any) -> Any:
        return Instead(gateway, charge=lambda key, *rest: gateway.charge(f"{key}/{next(tries)}", *rest))

    code.wrap_field(Payment, "_gateway", forgetful)


def decision_published(code: Surgery) -> None:
    """Payment publishes what it decided even when another process has moved the order: not what is stored."""

    def stubborn(orders: Any) -> Any:
        def commit(transitions: Sequence[Transition]) -> None:
            try:
                orders.commit(transitions)
            except Conflict:
                return

        return Instead(orders, commit=commit)

    code.wrap_field(Payment, "_orders", stubborn)


def outage_taken_for_a_decline(code: Surgery) -> None:
    """Payment declines an order when the gateway does not answer."""

    def declining(ask: Any) -> Any:
        def _ask_gateway(self: Payment, event: Event, order: Order) -> Transition:
            try:
                transition: Transition = ask(self, event, order)
            except Unavailable:
                return decline(order, self._headers.new(EventType.PAYMENT_FAILED, event), "no answer")
            return transition

        return _ask_gateway

    code.wrap(Payment, "_ask_gateway", declining)


def recorded_before_sent(code: Surgery) -> None:
    """Notification records that the customer is told, then tells."""

    def _notify(self: Notification, event: Event, order: Order) -> Outcome:
        if order.notified_at is None:
            self._record(order)
            self._outbound._mailer.send(mail_about(event, order))
        return Done()

    code.replace(Notification, "_notify", _notify)


def notified_again(code: Surgery) -> None:
    """Notification does not look whether the customer was notified already."""

    def _notify(self: Notification, event: Event, order: Order) -> Outcome:
        self._outbound._mailer.send(mail_about(event, order))
        self._record(order)
        return Done()

    code.replace(Notification, "_notify", _notify)


def closed_before_notified(code: Surgery) -> None:
    """A declined order is closed as soon as its stock is released and published."""

    def hasty(whole: Any) -> Any:
        def is_finished(order: Order) -> bool:
            return order.outbox is None or bool(whole.fget(order))

        return property(is_finished)

    code.wrap(Order, "is_finished", hasty)


def failed_inserts_ignored(code: Surgery) -> None:
    """Audit acknowledges the events of a batch whose insert failed."""

    def all_done(handle: Any) -> Any:
        def ignoring(self: Audit, events: Sequence[Event]) -> Sequence[Outcome]:
            handle(self, events)
            return [Done() for _ in events]

        return ignoring

    code.wrap(Audit, "handle", all_done)


OF_SERVICES = (
    publish_before_commit,
    no_lost_answer_rule,
    release_guard_missing,
    release_twice,
    release_never_cleared,
    nothing_returned,
    refusals_committed_apart,
    contention_taken_for_out_of_stock,
    each_order_planned_last,
    no_idempotency_key,
    decision_published,
    outage_taken_for_a_decline,
    recorded_before_sent,
    notified_again,
    closed_before_notified,
    failed_inserts_ignored,
)
