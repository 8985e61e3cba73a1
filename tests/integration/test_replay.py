"""Replay of orders that the real services have processed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.replay import main
from shopflow.catalog import load_catalog
from shopflow.contracts import Contracts
from shopflow.domain.order import Order, Status, Transition
from shopflow.domain.times import to_text
from tests.commands import Run, runner
from tests.live import Live

CONTRACTS = Contracts(load_catalog())


@pytest.fixture
def replay(stack: Any, tmp_path: Path) -> Run:
    return runner(main, stack.env, tmp_path / "operator.log")


@pytest.fixture
def order(live: Live) -> Order:
    return live.closed([live.place({live.product(stock=5): 2})])[0]


@pytest.fixture
def tampered(live: Live, order: Order) -> Iterator[Order]:
    """An order whose record was changed without an event, for as long as the test lasts."""
    changed = replace(order, transaction_id="TXN-FORGED")
    live.aws.orders.commit([Transition(order, changed, ("status",))])
    yield changed
    live.aws.orders.commit([Transition(changed, order, ("status",))])


def test_an_order_is_what_its_events_add_up_to(replay: Run, order: Order) -> None:
    shown = replay(order.order_id)
    assert (shown.returncode, "✘" in shown.stdout) == (0, False), shown.stderr
    assert "The record is what its" in shown.stdout


def test_a_record_that_was_changed_without_an_event_is_shown_beside_its_events(replay: Run, tampered: Order) -> None:
    shown = replay(tampered.order_id)
    assert shown.returncode == 1
    (row,) = [line.split() for line in shown.stdout.splitlines() if line.strip().startswith("✘")]
    assert (row[1], row[3]) == ("transactionId", "TXN-FORGED")
    assert "replays to another transaction_id" in shown.stdout


def test_an_order_is_shown_as_it_was_then(live: Live, replay: Run, order: Order) -> None:
    trail = live.aws.audit.trail(order.order_id)
    statuses = [Status.PENDING, Status.INVENTORY_RESERVED, Status.PAYMENT_PROCESSED]
    for entry, status in zip(trail, statuses, strict=True):
        shown = replay(order.order_id, "--at", to_text(entry.event.time_ms))
        (line,) = [line.split() for line in shown.stdout.splitlines() if line.split()[:1] == ["status"]]
        assert (shown.returncode, line[1]) == (0, status)
    early = replay(order.order_id, "--at", to_text(trail[0].event.time_ms - 1))
    assert (early.returncode, "did not exist" in early.stderr) == (1, True)


def test_the_events_of_an_order_are_sent_to_one_service_to_no_effect(live: Live, replay: Run, order: Order) -> None:
    before = live.findings().dead_letters
    counted = replay(order.order_id, "--to", "inventory")
    assert "1 would be sent" in counted.stdout, "of its three events the Inventory Service consumes one"
    for service, count in (("inventory", 1), ("audit", 3)):
        sent = replay(order.order_id, "--to", service, "--yes", "--rate", "100")
        assert (sent.returncode, f"{count} sent to the {service} queue" in sent.stdout) == (0, True), sent.stderr
    assert live.queues_empty().dead_letters == before
    assert live.read([order.order_id]) == [order]
    assert len(live.aws.audit.trail(order.order_id)) == 3
