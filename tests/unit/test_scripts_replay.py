"""Orders from their events, beside their records: the parts that need no table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from scripts.replay.__main__ import parse
from scripts.replay.comparing import breaches, rebuilt, same, side_by_side
from scripts.replay.everything import chunks
from scripts.replay.sending import History
from shopflow.catalog import load_catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import Order, Status
from tests.system import System

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)


@pytest.fixture(scope="module")
def paid() -> tuple[Order, list[Event], System]:
    system = System({"PROD-001": 5})
    order_id = system.place({"PROD-001": 2}, "pm_card_visa").order_id
    assert system.run_until_quiet()
    events = [entry.event for entry in system.audit.trail(order_id)]
    return system.twins.orders.read([order_id])[order_id], events, system


Paid = tuple[Order, list[Event], System]


def test_a_completed_order_is_the_same_as_its_events_though_no_event_completes_it(paid: Paid) -> None:
    order, events, _ = paid
    replayed = rebuilt(events)
    assert (order.status, replayed and replayed.status) == (Status.COMPLETED, Status.PAYMENT_PROCESSED)
    assert replayed
    assert same(replayed, order)
    assert not [row for row in side_by_side(replayed, order) if row.differs]
    assert not breaches(order.order_id, order, events)


def test_just_the_attribute_that_was_changed_differs(paid: Paid) -> None:
    order, events, _ = paid
    forged = replace(order, customer_id="CUST-999")
    (row,) = [row for row in side_by_side(rebuilt(events), forged) if row.differs]
    assert (row.name, row.replayed, row.recorded) == ("customerId", "CUST-001", "CUST-999")
    assert [breach.may_pass for breach in breaches(order.order_id, forged, events)] == [False]


def test_events_that_are_not_there_yet_may_still_come(paid: Paid) -> None:
    order, events, _ = paid
    assert [breach.may_pass for breach in breaches(order.order_id, order, events[:-1])] == [True]


def test_events_of_no_order_and_events_that_are_no_history_are_differences(paid: Paid) -> None:
    order, events, _ = paid
    assert rebuilt(events[1:]) is None
    assert rebuilt([]) is None
    (breach,) = breaches(order.order_id, None, events)
    assert (breach.text, breach.may_pass) == ("has 3 event(s), but no record", False)


def test_a_history_leaves_out_what_the_service_would_refuse(paid: Paid, monkeypatch: pytest.MonkeyPatch) -> None:
    order, events, system = paid

    class Aws:
        audit = system.audit

    history = History(Aws, CATALOG.services["inventory"], CONTRACTS)  # type: ignore[arg-type]
    assert [text for _, text in history.of([order.order_id])] == [CONTRACTS.encode(events[0])]
    old = replace(events[0], version="0.9")
    entry = replace(system.audit.trail(order.order_id)[0], event=old)
    monkeypatch.setattr(system.audit, "trail", lambda _: [entry])
    assert list(history.of([order.order_id])) == []
    assert history.refused == 1


def test_chunks_are_full_but_for_the_last() -> None:
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_a_time_without_an_offset_is_utc() -> None:
    times = [parse(["ORD-1", "--at", text]).at for text in ("2026-01-31T12:00:00", "2026-01-31T13:00:00+01:00")]
    assert times == [1_769_860_800_000] * 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ORD-1", "--all"],
        ["--all", "--at", "2026-01-31T12:00:00"],
        ["ORD-1", "--at", "noon"],
        ["ORD-1", "--keep"],
        ["ORD-1", "--yes"],
        ["ORD-1", "--to", "order"],
        ["ORD-1", "--to", "audit", "--rate", "501"],
    ],
)
def test_a_misused_command_exits_with_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(arguments)
    assert exit_.value.code == 2


FORGED_LINE = {"productId": "P", "productName": "P", "quantity": 1, "unitPrice": "much", "lineTotal": "much"}


@pytest.mark.parametrize("payload", [{"items": [FORGED_LINE]}, {"items": 7}, {"items": ["a"]}, {}], ids=repr)
def test_events_whose_payload_is_malformed_add_up_to_no_order_and_are_a_difference(
    paid: Paid, payload: Mapping[str, Any]
) -> None:
    order, events, _ = paid
    malformed = [replace(events[0], payload={**events[0].payload, **payload} if payload else {}), *events[1:]]
    assert rebuilt(malformed) is None
    assert breaches(order.order_id, order, malformed)
