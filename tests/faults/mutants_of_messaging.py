"""Deliberate faults in what the services share: the domain, the stores' conditions, consumer, publisher and relay."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import shopflow.clock
import shopflow.domain.order
import shopflow.messaging.outbox
from shopflow.aws.items import audit_to_item
from shopflow.catalog import Catalog
from shopflow.domain.event import Event
from shopflow.domain.order import Order, Status, Transition
from shopflow.errors import Unavailable
from shopflow.memory.tables import MemoryAuditLog, MemoryOrders
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.deferred import Delivery
from shopflow.messaging.handler import Done, Outcome
from shopflow.messaging.outbox import Publisher
from shopflow.messaging.relay import Relay
from shopflow.ports import Message, Outgoing
from tests.faults.surgery import Instead, Surgery


def no_status_condition(code: Surgery) -> None:
    """A transition is written whatever status the order has by then."""

    def unguarded(step: Any) -> Any:
        def _transition(*args: Any, **fields: Any) -> Transition:
            transition: Transition = step(*args, **fields)
            return replace(transition, guard=())

        return _transition

    code.wrap(shopflow.domain.order, "_transition", unguarded)


def no_stock_condition(code: Surgery) -> None:
    """Units are taken from a product whether or not they are there."""
    code.replace(MemoryOrders, "_falls_short", lambda *_: False)


def closed_before_published(code: Surgery) -> None:
    """A declined order counts as finished once it is told and released, published or not."""

    def hasty(whole: Any) -> Any:
        def is_finished(order: Order) -> bool:
            if order.status is Status.PAYMENT_FAILED:
                return order.notified_at is not None and order.released_at is not None
            return bool(whole.fget(order))

        return property(is_finished)

    code.wrap(Order, "is_finished", hasty)


def clocks_trusted(code: Surgery) -> None:
    """An event carries its service's time even when that is before the time of its cause."""
    code.replace(shopflow.clock, "after_cause", lambda now_ms, _: now_ms)


def new_id_at_each_publication(code: Surgery) -> None:
    """An event gets its id when it is published, not when it is committed."""
    numbers = itertools.count()

    def renamed(stored_event: Any) -> Any:
        def fresh(catalog: Catalog, order: Order) -> Event:
            event: Event = stored_event(catalog, order)
            return replace(event, event_id=f"{event.event_id[:16]}{next(numbers):010}")

        return fresh

    code.wrap(shopflow.messaging.outbox, "stored_event", renamed)


def audit_entries_overwritten(code: Surgery) -> None:
    """The audit log puts an event without looking whether it is there."""

    def insert(self: MemoryAuditLog, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:
        for event in events:
            self._trails[event.order_id][event.event_id] = audit_to_item(event, stored_at)
        return {}

    code.replace(MemoryAuditLog, "insert", insert)


def ack_before_commit(code: Surgery) -> None:
    """The consumer deletes its messages before it handles them."""

    def acking_first(process: Any) -> Any:
        def _process(self: Consumer, deliveries: Sequence[Delivery]) -> list[Delivery]:
            self._acknowledge([delivery.message for delivery in deliveries])
            unavailable: list[Delivery] = process(self, deliveries)
            return unavailable

        return _process

    code.wrap(Consumer, "_process", acking_first)


def breach_of_contract_acked(code: Surgery) -> None:
    """The consumer deletes messages that break their contract: they never reach the dead-letter queue."""

    def deleting(returning: Any) -> Any:
        def _nack(self: Consumer, seconds: dict[Message, int]) -> None:
            if any(seconds.values()):
                returning(self, seconds)
            elif seconds:
                self._queue.delete(list(seconds))

        return _nack

    code.wrap(Consumer, "_nack", deleting)


def failure_acked(code: Surgery) -> None:
    """The consumer takes the failure of an event for its success."""

    def blind(handle: Any) -> Any:
        def _handle(self: Consumer, events: Sequence[Event]) -> Sequence[Outcome]:
            return [outcome if isinstance(outcome, Done) else Done() for outcome in handle(self, events)]

        return _handle

    code.wrap(Consumer, "_handle", blind)


def refused_entries_ignored(code: Surgery) -> None:
    """The publisher does not read which entries of a batch the topic refused."""

    def hopeful(publish: Any) -> Any:
        def all_accepted(self: Publisher, events: Sequence[Outgoing]) -> frozenset[str]:
            publish(self, events)
            return frozenset(event.event_id for event in events)

        return all_accepted

    code.wrap(Publisher, "publish", hopeful)


def relay_ignores_receipts(code: Surgery) -> None:
    """The relay publishes every event of an open order again."""
    code.wrap_field(Relay, "_audit", lambda audit: Instead(audit, has=lambda *_: False))


def relay_trusts_blindly(code: Surgery) -> None:
    """The relay takes every event for published."""
    code.wrap_field(Relay, "_audit", lambda audit: Instead(audit, has=lambda *_: True))


def relay_never_sweeps(code: Surgery) -> None:
    """The relay does not look for open orders."""
    code.replace(Relay, "sweep", lambda _: None)


def relay_stops_at_the_first_outage(code: Surgery) -> None:
    """The relay's first sweep that meets an outage is its last."""

    def giving_up(look_at: Any) -> Any:
        def once(self: Any, *args: Any) -> None:
            if getattr(self, "_gave_up", False):
                return
            try:
                look_at(self, *args)
            except Unavailable:
                self._gave_up = True
                raise

        return once

    code.wrap(Relay, "look_at", giving_up)


OF_MESSAGING = (
    no_status_condition,
    no_stock_condition,
    closed_before_published,
    clocks_trusted,
    new_id_at_each_publication,
    audit_entries_overwritten,
    ack_before_commit,
    breach_of_contract_acked,
    failure_acked,
    refused_entries_ignored,
    relay_ignores_receipts,
    relay_trusts_blindly,
    relay_never_sweeps,
    relay_stops_at_the_first_outage,
)
