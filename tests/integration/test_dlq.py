"""The dead-letter tool, on real dead letters: what the real services could not process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.dlq.__main__ import main
from scripts.operator_log import os_user
from shopflow import jsontext
from shopflow.aws.queues import SqsDeadLetters
from shopflow.catalog import SCHEMAS, load_catalog
from shopflow.clock import HeaderFactory, SystemClock
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Line, Order, Status, create
from shopflow.messaging.outbox import stored_event
from tests.commands import Run, run_module, runner
from tests.live import VISA, Live, eventually

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
NOT_JSON = "this is not JSON"


@pytest.fixture
def operator_log(tmp_path: Path) -> Path:
    return tmp_path / "operator.log"


@pytest.fixture
def dlq(live: Live, stack: Any, operator_log: Path) -> Iterator[Run]:
    """The command, over dead-letter queues that are empty before the test and after it."""
    _empty(live)
    yield runner(main, stack.env, operator_log)
    _empty(live)


def _empty(live: Live) -> None:
    """Delete every dead letter, waiting for those that a test still hides: others count on empty queues."""
    for service in CATALOG.consumers:
        letters = live.aws.dead_letters(service.name)

        def left(letters: SqsDeadLetters = letters) -> int:
            letters.delete(letters.receive(10, hide_seconds=30, wait_seconds=0))
            return letters.depth()

        eventually(left, lambda depth: depth == 0)


def _dead(live: Live, service: str, *bodies: str) -> None:
    """Send the bodies to the service's queue, and wait until it has given up on them."""
    depth = live.aws.dead_letters(service).depth()
    for body in bodies:
        live.send(service, body)
    eventually(live.aws.dead_letters(service).depth, lambda seen: seen == depth + len(bodies))


def _example(name: str) -> str:
    """One of the contracts' examples; an invalid one stands beside the error that it must give."""
    example = jsontext.loads((SCHEMAS / "examples" / f"{name}.json").read_text())
    return jsontext.dumps(example.get("event", example))


def _unknown_order(product: str, live: Live) -> tuple[Order, Event]:
    """An order that is not saved, with its `order.created`."""
    header = HeaderFactory(SystemClock()).new(EventType.ORDER_CREATED)
    line = Line(product, "Test product", 2, live.aws.products.read([product])[product].price)
    draft = Order("ORD-" + header.event_id[-8:], "CUST-TEST", (line,), header.time_ms, header.time_ms)
    order = create(replace(draft, payment_method=VISA), header)
    return order, stored_event(CATALOG, order)


def _entries(operator_log: Path) -> list[Any]:
    return [json.loads(line) for line in operator_log.read_text().splitlines()]


def test_list_counts_the_dead_letters_of_each_service_by_reason(live: Live, dlq: Run) -> None:
    product = live.product(stock=5)
    events = [_unknown_order(product, live)[1] for _ in range(2)]
    _dead(live, "inventory", NOT_JSON, "[1, 2", *map(CONTRACTS.encode, events))
    _dead(live, "payment", _example("invalid/inventory.reserved.failure-reason"))
    _dead(live, "audit", _example("invalid/envelope.unknown-event-type"))
    shown = dlq("list")
    assert shown.returncode == 0, shown.stderr
    rows = [line.split() for line in shown.stdout.splitlines() if "breaks its contract" in line]
    assert [row[:2] for row in rows if row[0] in ("inventory", "payment", "audit")] == [
        ["inventory", "4"],
        ["payment", "1"],
        ["audit", "1"],
    ]
    assert "2 no breaks its contract: not JSON" in " ".join(shown.stdout.split())
    assert "2 no breaks its contract: correlationId: order ORD-… does not exist" in " ".join(shown.stdout.split())
    assert [live.aws.dead_letters(name).depth() for name in ("inventory", "payment", "audit")] == [4, 1, 1]


def test_list_says_so_when_there_are_no_dead_letters(dlq: Run, stack: Any) -> None:
    shown = run_module("scripts.dlq", "list", env=stack.env)
    assert (shown.returncode, "No dead letters." in shown.stdout) == (0, True)


def test_peek_shows_the_event_and_the_field_that_breaks_the_contract_and_takes_nothing(live: Live, dlq: Run) -> None:
    _dead(live, "audit", _example("invalid/order.created.negative-total"))
    for _ in range(2):
        shown = dlq("peek", "audit")
        assert "breaks its contract: payload.totalAmount:" in shown.stdout
        assert '"eventType": "order.created"' in shown.stdout
    assert live.aws.dead_letters("audit").depth() == 1


def test_redrive_without_yes_sends_nothing(live: Live, dlq: Run, operator_log: Path) -> None:
    order = live.closed([live.place({live.product(stock=1): 1})])[0]
    _bury(live, "payment", live.aws.audit.trail(order.order_id)[1].event)
    shown = dlq("redrive", "payment")
    assert (shown.returncode, "Nothing was sent" in shown.stdout) == (0, True), shown.stderr
    assert live.aws.dead_letters("payment").depth() == 1
    assert not operator_log.exists()


def _bury(live: Live, service: str, *events: Event) -> None:
    """Put events that can be processed into the dead-letter queue, as a bug that is mended since would have done."""
    for event in events:
        live.sqs.send_message(QueueUrl=live.config.resources.dlq_urls[service], MessageBody=CONTRACTS.encode(event))


def test_a_message_whose_cause_is_mended_is_redriven_and_its_order_finished(
    live: Live, dlq: Run, operator_log: Path
) -> None:
    product = live.product(stock=5)
    order, event = _unknown_order(product, live)
    _dead(live, "inventory", CONTRACTS.encode(event))
    assert f"order {order.order_id} does not exist" in dlq("peek", "inventory").stdout
    refused = dlq("redrive", "inventory", "--yes")
    assert "0 of 1 to send" in refused.stdout, "what would fail again is left where it is"
    live.aws.orders.create(order)
    assert "can be processed: would bring about inventory.reserved" in dlq("peek", "inventory").stdout
    _send_created_to_audit(live, event)
    sent = dlq("redrive", "inventory", "--yes")
    assert (sent.returncode, "1 sent back" in sent.stdout) == (0, True), sent.stdout + sent.stderr
    assert live.closed([order.order_id])[0].status is Status.COMPLETED
    assert live.aws.dead_letters("inventory").depth() == 0
    entries = [entry for entry in _entries(operator_log) if entry["action"].startswith("redrive")]
    assert [entry["action"] for entry in entries] == ["redrive", "redrive ended"]
    assert {entry["operator"] for entry in entries} == {os_user()}
    assert entries[-1]["sent"] == 1


def _send_created_to_audit(live: Live, event: Event) -> None:
    """This order's first event never went through the topic."""
    live.send("audit", CONTRACTS.encode(event))


def test_all_that_had_their_effect_are_redriven_in_turn_to_no_effect(live: Live, dlq: Run) -> None:
    product = live.product(stock=20)
    before = live.closed(live.place_at_once([{product: 1}] * 12))
    events = [live.aws.audit.trail(order.order_id)[1].event for order in before]
    _bury(live, "payment", *events, *events)
    sent = dlq("redrive", "payment", "--yes", "--all", "--rate", "200")
    assert (sent.returncode, "24 sent back" in sent.stdout) == (0, True), sent.stdout + sent.stderr
    live.queues_empty()
    assert live.read([order.order_id for order in before]) == before
    assert live.aws.dead_letters("payment").depth() == 0


def test_the_canary_stops_a_redrive_of_messages_that_come_back(live: Live, dlq: Run) -> None:
    _dead(live, "notification", NOT_JSON, NOT_JSON + "!", NOT_JSON + "?")
    sent = dlq("redrive", "notification", "--all", "--yes")
    assert sent.returncode == 1
    assert "It came back (breaks its contract: not JSON" in sent.stderr
    assert '"redrive ended", "queue": "shopflow-test-notification-dlq", "sent": 1' in sent.stderr
    assert live.aws.dead_letters("notification").depth() == 3


def test_purge_asks_and_deletes_what_was_shown_once_the_queue_is_named(
    live: Live, dlq: Run, operator_log: Path
) -> None:
    _dead(live, "payment", NOT_JSON)
    letters = live.aws.dead_letters("payment")
    for answer in ("", "y\n", "shopflow-test-audit-dlq\n"):
        refused = dlq("purge", "payment", typed=answer)
        assert (refused.returncode, refused.stderr.strip(), letters.depth()) == (1, "Nothing was deleted.", 1)
    assert not operator_log.exists()
    purged = dlq("purge", "payment", typed=f"{letters.name}\n")
    assert (purged.returncode, letters.depth()) == (0, 0), purged.stderr
    assert [entry["action"] for entry in _entries(operator_log)] == ["purge", "purge ended"]


def test_purge_deletes_only_the_messages_that_are_named(live: Live, dlq: Run) -> None:
    _dead(live, "payment", NOT_JSON, NOT_JSON + "!")
    letters = live.aws.dead_letters("payment")
    (first, second) = letters.receive(10, hide_seconds=30, wait_seconds=0)
    letters.hide([first, second], 0)
    assert dlq("purge", "payment", "--message", first.message.message_id, "--yes").returncode == 0
    (left,) = letters.receive(10, hide_seconds=0, wait_seconds=0)
    assert left.message.message_id == second.message.message_id
