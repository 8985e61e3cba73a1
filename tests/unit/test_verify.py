"""What `make verify` finds on live tables, over the twins: breaches, and apart from them what is still in flight."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
from rich.console import Console

from scripts.verify.__main__ import check_dead_letters, table, verdict
from scripts.verify.looking import LOOKS, Findings, Live, Look
from shopflow import dead_letters as walking
from shopflow.domain.order import EventType, Order
from shopflow.memory.queues import MemoryDeadLetters, MemoryQueue
from shopflow.ports import DeadLetter
from tests.clocks import ManualClock
from tests.system import System
from workers.dead_letters import Judged
from workers.dry_run import Kind, Verdict
from workers.gateway import transaction_id

SEED = "0"
VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"
TABLES = (1, 2, 3, 4, 6)


def finished() -> tuple[System, Order]:
    """A system at rest, with one completed, one declined and one refused order; the completed one."""
    system = System({"A": 9})
    placed = [system.place({"A": units}, method) for units, method in ((2, VISA), (1, EXPIRED), (99, VISA))]
    assert system.run_until_quiet()
    return system, system.tables.orders[placed[0].order_id]


def found_in(system: System, meanwhile: Callable[[], object] = lambda: None, busy: bool = False) -> Findings:
    """What is found; ``meanwhile`` happens in each pause between two looks."""

    def pause(seconds: float) -> None:
        system.clock.advance(seconds)
        meanwhile()

    def waiting() -> int:
        depths = [queue.depth() for queue in system.queues.values()]
        return busy + sum(depth.waiting + depth.in_flight for depth in depths)

    twins = system.twins
    ids = partial(transaction_id, SEED)
    live = Live(twins.orders, twins.products, twins.audit, ids, waiting, system.clock, pause)
    return Look(live).findings(lambda _: None)


def breached(findings: Findings) -> set[int]:
    return set(findings.breaches.breached)


def in_flight(findings: Findings) -> set[int]:
    return set(findings.in_flight.breached)


def tamper(system: System, order: Order) -> None:
    system.tables.put_order(order)


def without(system: System, order: Order, event_type: EventType) -> None:
    """Take an event out of the order's trail."""
    kept = [entry.event for entry in system.audit.trail(order.order_id) if entry.event.event_type is not event_type]
    system.audit._trails.clear()
    system.audit.insert(kept, system.clock.now)


def test_a_system_at_rest_holds_every_invariant() -> None:
    findings = found_in(finished()[0])
    assert findings.breaches.holds
    assert findings.in_flight.holds
    assert {number: findings.breaches.checked[number] for number in TABLES} == {1: 3, 2: 1, 3: 3, 4: 3, 6: 3}


def test_a_missing_unit_is_a_breach() -> None:
    system, _ = finished()
    product = system.tables.products["A"]
    system.tables.products["A"] = replace(product, stock=product.stock - 1)
    findings = found_in(system)
    assert breached(findings) == {2}
    assert "+1 missing" in str(findings.breaches.offenders[2][0])


def test_units_that_move_during_every_look_are_in_flight() -> None:
    system, _ = finished()
    product = system.tables.products["A"]
    system.tables.products["A"] = replace(product, stock=product.stock - 1)

    def another_goes() -> None:
        now = system.tables.products["A"]
        system.tables.products["A"] = replace(now, stock=now.stock - 1)

    findings = found_in(system, another_goes)
    assert findings.breaches.holds
    assert in_flight(findings) == {2}


def test_units_that_are_counted_while_an_order_reserves_them_are_found_at_the_next_look() -> None:
    system, _ = finished()
    product = system.tables.products["A"]
    system.tables.products["A"] = replace(product, stock=product.stock - 1)
    looks = 0

    def settle() -> None:
        nonlocal looks
        looks += 1
        system.tables.products["A"] = product

    findings = found_in(system, settle)
    assert findings.breaches.holds
    assert findings.in_flight.holds
    assert looks == 1 < LOOKS


@pytest.mark.parametrize(
    ("changes", "invariants"),
    [
        ({"charged_amount": None}, {3, 4}),
        ({"transaction_id": "TXN-0"}, {3, 4}),
        ({"notified_at": None}, {1, 6}),
        ({"customer_id": "CUST-2"}, {4}),
        ({"failure_reason": "none"}, {4}),
    ],
)
def test_a_record_that_contradicts_its_history_is_a_breach(changes: dict[str, str], invariants: set[int]) -> None:
    system, order = finished()
    tamper(system, replace(order, **changes))  # type: ignore[arg-type]
    assert breached(found_in(system, busy=True)) == invariants


def test_a_trail_that_lacks_an_event_is_in_flight_while_messages_wait_and_a_breach_when_none_does() -> None:
    system = System({"A": 9})
    order = system.place({"A": 2}, VISA)
    assert system.run_until_quiet()
    without(system, order, EventType.INVENTORY_RESERVED)
    assert in_flight(found_in(system, busy=True)) == {4}
    assert breached(found_in(system)) == {4}


def test_an_order_on_its_way_is_in_flight() -> None:
    system = System({"A": 9})
    system.place({"A": 2}, VISA)
    findings = found_in(system)
    assert findings.breaches.holds
    assert 1 in in_flight(findings)


def test_an_order_that_gets_there_between_two_looks_is_nothing_to_speak_of() -> None:
    system = System({"A": 9})
    system.place({"A": 2}, VISA)
    findings = found_in(system, lambda: system.run_until_quiet())
    assert findings.breaches.holds
    assert findings.in_flight.holds


def test_an_order_that_nothing_will_finish_is_a_breach_once_the_relay_had_its_chance() -> None:
    system = System({"A": 9}, relay=False)
    order = system.place({"A": 2}, VISA)
    system.queues["inventory"].delete(system.queues["inventory"].receive(1, 0))
    system.run_until_quiet()
    assert 1 in in_flight(found_in(system))
    system.clock.advance(60)
    findings = found_in(system)
    assert breached(findings) == {1}
    assert str(findings.breaches.offenders[1][0]) == f"invariant 1: {order.order_id}: is still PENDING"


def dead_letters(*bodies: str) -> MemoryDeadLetters:
    clock = ManualClock()
    letters = MemoryDeadLetters(MemoryQueue(clock, "dlq"), MemoryQueue(clock, "queue"))
    for body in bodies:
        letters._dlq.send(body)
    return letters


def by_name(_: str, letters: Sequence[DeadLetter]) -> list[Judged]:
    poison, work = Verdict(Kind.BREACH, "not JSON"), Verdict(Kind.READY, "would charge $9.99")
    return [Judged(one, poison if one.message.body == "poison" else work) for one in letters]


def shown(findings: Findings) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(table(findings), verdict(findings))
    return " ".join(text.getvalue().split())


def test_work_behind_three_thousand_poison_letters_is_a_breach() -> None:
    findings = Findings()
    check_dead_letters("payment", dead_letters(*["poison"] * 3000, "work"), by_name, findings, lambda _: None)
    assert (findings.breaches.checked[5], findings.breaches.breached[5]) == (3001, 1)
    assert "which can be processed: would charge $…" in str(findings.breaches.offenders[5][0])
    assert "3,001" in shown(findings)


def test_what_was_not_looked_at_is_not_said_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MAX_HELD", 1000)
    findings = Findings()
    check_dead_letters("payment", dead_letters(*["poison"] * 3001), by_name, findings, lambda _: None)
    assert findings.breaches.holds
    assert not findings.hold
    assert "1,000 of 3,001" in shown(findings)
    assert "Every invariant holds." not in shown(findings)
    assert "2,001 dead letters were not" in shown(findings)


def test_poison_alone_breaks_no_invariant() -> None:
    findings = Findings()
    check_dead_letters("payment", dead_letters(*["poison"] * 30), by_name, findings, lambda _: None)
    assert findings.hold
    assert "Every invariant holds." in shown(findings)
