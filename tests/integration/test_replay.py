"""Replay of orders that the real services have processed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.replay import main
from scripts.verify import Findings, order_check
from shopflow.catalog import load_catalog
from shopflow.contracts import Contracts
from shopflow.domain.order import Order, Status, Transition
from shopflow.domain.times import to_text
from shopflow.invariants import TRAIL, Report
from shopflow.ports import Message
from tests.commands import Run, run_module, runner
from tests.live import EXPIRED, VISA, Live
from tests.waiting import eventually

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


@pytest.mark.parametrize("payment_method", [VISA, EXPIRED])
def test_an_order_is_what_its_events_add_up_to(live: Live, replay: Run, payment_method: str) -> None:
    (order,) = live.closed([live.place({live.product(stock=5): 2}, payment_method)])
    shown = replay(order.order_id)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "The record is what its" in shown.stdout
    assert "✘" not in shown.stdout


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


def test_an_unknown_order_is_named(live: Live, stack: Any) -> None:
    shown = run_module("scripts.replay", "ORD-00000000", env=stack.env)
    assert (shown.returncode, shown.stderr.strip()[:38]) == (1, "There is no event of ORD-00000000. The")


def test_of_all_orders_only_the_one_that_differs_is_found(live: Live, replay: Run, tampered: Order) -> None:
    """Other tests leave broken orders, so only this test's own are looked for."""
    others = live.closed(live.place_at_once([{live.product(stock=60): 1}] * 30))
    check = order_check(live.config, live.aws)
    check.findings = Findings(Report(1000), Report(1000))
    found = {breach.subject: breach for breach in check.check_orders(lambda _: None).breaches.offenders[TRAIL]}
    assert found[tampered.order_id].text == "replays to another transaction_id"
    assert not found.keys() & {order.order_id for order in others}
    shown = replay("--all")
    assert (shown.returncode, "shows one of them side by side" in shown.stdout) == (1, True), shown.stderr


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


def test_a_new_service_catches_up_on_what_its_queue_missed(live: Live, replay: Run, order: Order) -> None:
    """The Audit Service plays the new service: it is stopped while its queue gets the events."""
    queue = live.aws.queue("audit")
    live.queues_empty()
    assert live.services.kill("audit", signal.SIGTERM) == 0
    try:
        assert replay(order.order_id, "--to", "audit", "--yes").returncode == 0
        messages: list[Message] = []

        def received() -> int:
            messages.extend(queue.receive(10, 1))
            return len(messages)

        eventually(received, lambda count: count == 3)
        events = {CONTRACTS.decode(message.body).event_id for message in messages}
        assert events == {entry.event.event_id for entry in live.aws.audit.trail(order.order_id)}
        queue.change_visibility(dict.fromkeys(messages, 0))
    finally:
        live.services.start("audit")
    live.queues_empty()
