"""All invariants of one run over the twins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from shopflow.invariants.messages import check_dead_letters, check_publications
from shopflow.invariants.orders import Evidence, check_order
from shopflow.invariants.report import Breach
from shopflow.invariants.stock import HeldUnits
from shopflow.memory.queues import MemoryQueue
from tests.faults.observer import Observer
from tests.system import System


def breaches_of(
    system: System, observer: Observer, accepted: Collection[str], poison: Mapping[str, frozenset[str]] | None = None
) -> list[Breach]:
    """The breaches, once the system is as quiet as it gets.

    ``accepted``: the ids of the orders whose clients were told so. ``poison``: what was put into each service's queue.
    """
    return [
        *_of_orders(system, observer),
        *_of_acceptance(system, accepted),
        *observer.refusals,
        *_of_stock(system),
        *_of_the_ledger(system),
        *_of_the_audit_log(system, observer),
        *_of_dead_letters(system, poison or {}),
        *check_publications(observer.published, observer.publications_excused),
    ]


def _of_orders(system: System, observer: Observer) -> Iterator[Breach]:
    for order in system.twins.orders.all():
        charge = system.gateway.ledger.get(order.order_id)
        yield from check_order(
            Evidence(
                order=order,
                trail=[entry.event for entry in system.audit.trail(order.order_id)],
                charges=[charge] if charge else [],
                mails=system.mailer.sent[order.order_id],
                mails_excused=observer.mails.excused[order.order_id],
            )
        )


def _of_acceptance(system: System, accepted: Collection[str]) -> Iterator[Breach]:
    for order_id in accepted:
        if order_id not in system.tables.orders:
            yield Breach(1, order_id, "was accepted, but is not there")
    keys = Counter(order.idempotency_key for order in system.twins.orders.all())
    for key, orders in keys.items():
        if orders > 1:
            yield Breach(1, str(key), f"one idempotency key, {orders} orders")


def _of_stock(system: System) -> Iterator[Breach]:
    held = HeldUnits()
    for order in system.twins.orders.all():
        held.add(order)
    return held.check(system.twins.products.all())


def _of_the_ledger(system: System) -> Iterator[Breach]:
    for key in system.gateway.ledger:
        if key not in system.tables.orders:
            yield Breach(3, key, "charged under a key that is no order's")


def _of_the_audit_log(system: System, observer: Observer) -> Iterator[Breach]:
    """Nothing in it is ever changed, and whatever was published is in some order's trail."""
    entries = [entry for order_id in system.tables.orders for entry in system.audit.trail(order_id)]
    for entry in entries:
        if entry.stored_at != observer.stored[entry.event.event_id]:
            yield Breach(4, entry.event.event_id, "its audit entry was written over")
    for event_id in observer.published.keys() - {entry.event.event_id for entry in entries}:
        yield Breach(4, event_id, "was published, but is in no order's trail")


def _of_dead_letters(system: System, poison: Mapping[str, frozenset[str]]) -> Iterator[Breach]:
    for service, dlq in system.dlqs.items():
        yield from check_dead_letters(service, _bodies(dlq), poison.get(service, frozenset()))


def _bodies(queue: MemoryQueue) -> frozenset[str]:
    bodies: set[str] = set()
    while received := queue.receive(10, 0):
        bodies.update(message.body for message in received)
    return frozenset(bodies)
