"""All invariants of one run over the twins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field

from shopflow.errors import ContractBreach
from shopflow.invariants import Breach, HeldUnits, check_order
from shopflow.memory.queues import MemoryQueue
from tests.faults.checks import check_mails, check_poison, check_publications
from tests.faults.observer import Observer
from tests.system import CONTRACTS, System


@dataclass(frozen=True, slots=True)
class Letters:
    """Bodies by service: ``poison`` that was put into its queue, and what was ``purged``. ``misdated``: poison or not,
    depending on what became of its order meanwhile."""

    poison: Mapping[str, Set[str]] = field(default_factory=dict)
    purged: Mapping[str, Set[str]] = field(default_factory=dict)
    misdated: Set[str] = frozenset()


def breaches_of(
    system: System, observer: Observer, accepted: Collection[str], letters: Letters | None = None
) -> list[Breach]:
    """The breaches, once the system is as quiet as it gets.

    ``accepted``: the ids of the orders whose clients were told so.
    """
    recorded = {entry.event.event_id for order_id in system.tables.orders for entry in system.audit.trail(order_id)}
    unrecorded = (_expired_events(system) & observer.published.keys()) - recorded
    return [
        *_of_orders(system, observer, unrecorded),
        *_of_acceptance(system, accepted),
        *observer.refusals,
        *_of_stock(system),
        *_of_the_ledger(system),
        *_of_the_audit_log(system, observer, unrecorded),
        *_of_dead_letters(system, letters or Letters()),
        *check_publications(observer.published, observer.publications_excused),
    ]


def _of_orders(system: System, observer: Observer, unrecorded: Set[str]) -> Iterator[Breach]:
    for order in system.twins.orders.all():
        charge = system.gateway.ledger.get(order.order_id)
        trail = [entry.event for entry in system.audit.trail(order.order_id)]
        has_a_hole = any(observer.order_of[event_id] == order.order_id for event_id in unrecorded)
        found = check_order(order, trail, [charge] if charge else [])
        yield from (breach for breach in found if not (has_a_hole and breach.invariant == 4))
        order_id = order.order_id
        yield from check_mails(order, system.mailer.sent[order_id], observer.mails.excused[order_id])


def _of_acceptance(system: System, accepted: Collection[str]) -> Iterator[Breach]:
    for order_id in accepted:
        if order_id not in system.tables.orders:
            yield Breach(1, order_id, "was accepted, but is not there")
    keys = Counter(order.idempotency_key for order in system.twins.orders.all())
    for key, orders in keys.items():
        if orders > 1:
            yield Breach(1, str(key), f"one idempotency key, {orders} orders")


def _of_stock(system: System) -> Iterator[Breach]:
    deferred = HeldUnits()
    for order in system.twins.orders.all():
        deferred.add(order)
    return deferred.check(system.twins.products.all())


def _of_the_ledger(system: System) -> Iterator[Breach]:
    for key in system.gateway.ledger:
        if key not in system.tables.orders:
            yield Breach(3, key, "charged under a key that is no order's")


def _of_the_audit_log(system: System, observer: Observer, unrecorded: Set[str]) -> Iterator[Breach]:
    """Nothing in it is ever changed, and whatever was published is in some order's trail."""
    entries = [entry for order_id in system.tables.orders for entry in system.audit.trail(order_id)]
    for entry in entries:
        if entry.stored_at != observer.stored[entry.event.event_id]:
            yield Breach(4, entry.event.event_id, "its audit entry was written over")
    for event_id in observer.published.keys() - {entry.event.event_id for entry in entries} - unrecorded:
        yield Breach(4, event_id, "was published, but is in no order's trail")


def _of_dead_letters(system: System, letters: Letters) -> Iterator[Breach]:
    """What is there is poison; and all poison is there, or was purged, or was deleted by SQS after its retention."""
    for service, dlq in system.dlqs.items():
        poison, purged = letters.poison.get(service, frozenset()), letters.purged.get(service, frozenset())
        dead = _bodies(dlq) - letters.misdated
        gone = purged | {*dlq.expired, *system.queues[service].expired}
        yield from check_poison(service, dead, (poison - gone) | (poison & dead))
        for body in sorted(purged - poison - letters.misdated):
            yield Breach(5, service, f"work was purged that can be done: {body[:120]}")


def _expired_events(system: System) -> frozenset[str]:
    """The ids of the events that waited for the Audit Service until SQS deleted them: nobody can record them."""
    found = set()
    for body in (*system.queues["audit"].expired, *system.dlqs["audit"].expired):
        with suppress(ContractBreach):
            found.add(CONTRACTS.decode(body).event_id)
    return frozenset(found)


def _bodies(queue: MemoryQueue) -> frozenset[str]:
    bodies: set[str] = set()
    while received := queue.receive(10, 0):
        bodies.update(message.body for message in received)
    return frozenset(bodies)
