"""What `make verify` finds, over the twins: breaches, and apart from them what is still in flight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from scripts.console import FAILED, OK
from scripts.verify import Findings, OrderCheck, check_dead_letters, conclusion
from shopflow.domain.order import EventType, Order
from shopflow.memory.queues import MemoryDeadLetters, MemoryQueue
from shopflow.ports import AuditEntry
from tests.clocks import ManualClock
from tests.system import System
from tests.unit.api.shop import judged_by_name
from workers import dead_letters
from workers.gateway import transaction_id

VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"


def finished() -> tuple[System, Order]:
    """A system at rest with a completed, a declined and a refused order; the completed one."""
    system = System({"A": 9})
    placed = [system.place({"A": units}, method) for units, method in ((2, VISA), (1, EXPIRED), (99, VISA))]
    assert system.run_until_quiet()
    return system, system.tables.orders[placed[0].order_id]


def take_a_unit(system: System) -> None:
    product = system.tables.products["A"]
    system.tables.products["A"] = replace(product, stock=product.stock - 1)


def check(system: System, meanwhile: Callable[[], object] = lambda: None, busy: bool = False) -> Findings:
    """The findings. ``meanwhile`` happens in each pause; ``busy``: a message waits in a queue."""

    def pause(seconds: float) -> None:
        system.clock.advance(seconds)
        meanwhile()

    def waiting() -> int:
        return busy + sum(queue.depth().total for queue in system.queues.values())

    twins, ids = system.twins, partial(transaction_id, "0")
    orders = OrderCheck(twins.orders, twins.products, twins.audit, ids, waiting, system.clock, pause)
    return orders.run(lambda _: None)


def found(findings: Findings) -> tuple[set[int], set[int]]:
    """The invariants that have a breach, and those that have something in flight."""
    return set(findings.breaches.breached), set(findings.in_flight.breached)


def test_a_system_at_rest_holds_every_invariant() -> None:
    findings = check(finished()[0])
    assert found(findings) == (set(), set())
    assert findings.breaches.checked == {1: 3, 2: 1, 3: 3, 4: 3, 6: 3}


def test_a_missing_unit_is_a_breach_if_the_count_stays_the_same() -> None:
    system, _ = finished()
    product = system.tables.products["A"]
    take_a_unit(system)
    assert found(check(system)) == ({2}, set())
    assert found(check(system, busy=True)) == (set(), {2})
    assert found(check(system, lambda: take_a_unit(system))) == (set(), {2}), "units move"
    assert found(check(system, lambda: system.tables.products.update(A=product))) == (set(), set()), "it came back"


@pytest.mark.parametrize(
    ("changes", "invariants"),
    [
        ({"charged_amount": None}, {3, 4}),
        ({"transaction_id": "TXN-0"}, {3, 4}),
        ({"notified_at": None}, {1, 6}),
        ({"customer_id": "CUST-2"}, {4}),
    ],
)
def test_a_record_that_contradicts_its_history_is_a_breach(changes: dict[str, str], invariants: set[int]) -> None:
    system, order = finished()
    system.tables.put_order(replace(order, **changes))  # type: ignore[arg-type]
    assert found(check(system, busy=True))[0] == invariants


def test_a_missing_event_is_in_flight_while_messages_wait_and_a_breach_when_none_does() -> None:
    system, order = finished()
    kept = [one.event for one in system.audit.trail(order.order_id)]
    system.audit._trails[order.order_id].clear()
    system.audit.insert([one for one in kept if one.event_type is not EventType.INVENTORY_RESERVED], system.clock.now)
    assert found(check(system, busy=True)) == (set(), {4})
    assert found(check(system)) == ({4}, set())


def test_an_order_that_nothing_will_finish_is_a_breach_after_the_relay_has_looked_at_it() -> None:
    system = System({"A": 9}, relay=False)
    order = system.place({"A": 2}, VISA)
    system.queues["inventory"].delete(system.queues["inventory"].receive(1, 0))
    system.run_until_quiet()
    assert 1 in found(check(system))[1]
    system.clock.advance(60)
    findings = check(system)
    assert found(findings)[0] == {1}
    assert str(findings.breaches.offenders[1][0]) == f"invariant 1: {order.order_id}: is still PENDING"


def test_an_order_that_cannot_be_read_stops_no_other_and_is_not_said_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    system, order = finished()
    trail = system.audit.trail

    def unreadable(order_id: str) -> list[AuditEntry]:
        if order_id == order.order_id:
            raise KeyError("payload")
        return trail(order_id)

    monkeypatch.setattr(type(system.audit), "trail", lambda _, order_id: unreadable(order_id))
    findings = check(system)
    assert findings.breaches.checked[4] == 2
    assert conclusion(findings) == (
        "[red]Every invariant holds for what was checked, but 1 orders could not be: try again.",
        FAILED,
    )


def check_letters(*bodies: str) -> Findings:
    """The findings in a dead-letter queue of ``bodies``."""
    clock = ManualClock()
    dlq = MemoryQueue(clock, "dlq")
    for body in bodies:
        dlq.send(body)

    findings = Findings()
    letters = MemoryDeadLetters(dlq, MemoryQueue(clock, "queue"))
    check_dead_letters("payment", letters, judged_by_name, findings, lambda _: None)
    return findings


def test_a_declined_order_that_only_the_relay_has_to_close_is_in_flight_however_old_it_is() -> None:
    """As `make e2e` leaves it, which stops its services before the relay has looked."""
    system = System({"A": 9}, relay=False)
    order = system.place({"A": 2}, EXPIRED)
    system.run(60)
    system.clock.advance(24 * 3600)
    assert system.tables.orders[order.order_id].opened_at is not None
    assert found(check(system)) == (set(), {1})
    system.audit._trails[order.order_id].popitem()
    assert 1 in found(check(system))[0], "without its receipt the release may not be published"


def test_work_among_dead_letters_is_a_breach_and_poison_is_not() -> None:
    findings = check_letters(*["poison"] * 1000, "work")
    assert (findings.breaches.checked[5], findings.breaches.breached[5]) == (1001, 1)
    assert "which can be processed: would charge $…" in str(findings.breaches.offenders[5][0])
    assert conclusion(check_letters("poison")) == ("Every invariant holds.", OK)


def test_letters_that_were_not_checked_are_not_said_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "MAX_HIDDEN", 100)
    sentence, code = conclusion(check_letters(*["poison"] * 301))
    assert ("201 dead letters could not be" in sentence, code) == (True, FAILED)
