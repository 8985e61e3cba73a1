"""The dead-letter commands on the real stack, on messages that the real services could not process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.ops.letters import DeadLetterDesk, RedriveRequest
from scripts.dlq import main
from scripts.operator_log import os_user
from shopflow import jsontext
from shopflow.aws.queues import SqsDeadLetters
from shopflow.catalog import SCHEMAS, load_catalog
from shopflow.clock import HeaderFactory, SystemClock
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Line, Order, Status, create
from shopflow.messaging.outbox import Outbox, stored_event
from tests.commands import Run, runner
from tests.live import VISA, Live
from tests.waiting import eventually
from workers.dry_run import DryRun

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
NOT_JSON = "this is not JSON"
POISON = 300


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
    """Delete every dead letter. Waits for those that a test still hides."""
    for service in CATALOG.consumers:
        letters = live.aws.dead_letters(service.name)

        def left(letters: SqsDeadLetters = letters) -> int:
            while received := letters.receive(10, hide_seconds=30, wait_seconds=0):
                letters.delete(received)
            return letters.depth()

        eventually(left, lambda depth: depth == 0)


def _dead(live: Live, service: str, *bodies: str) -> None:
    """Send the bodies to the service's queue, and wait until they are in its dead-letter queue."""
    depth = live.aws.dead_letters(service).depth()
    for body in bodies:
        live.send(service, body)
    eventually(live.aws.dead_letters(service).depth, lambda seen: seen == depth + len(bodies))


def _bury(live: Live, service: str, *bodies: str) -> None:
    """Put the bodies into the dead-letter queue themselves, as a bug that is fixed since would have done."""
    url = live.config.resources.dlq_urls[service]
    for start in range(0, len(bodies), 10):
        entries: Any = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
        live.sqs.send_message_batch(QueueUrl=url, Entries=entries)


def _reserved(live: Live, order: Order) -> str:
    """The order's `inventory.reserved`, as it was published."""
    return CONTRACTS.encode(live.aws.audit.trail(order.order_id)[1].event)


def _bury_a_good_letter_behind_poison(live: Live) -> SqsDeadLetters:
    """300 poison letters, then one that has had its effect, in the payment dead-letter queue."""
    (order,) = live.closed([live.place({live.product(stock=1): 1})])
    _bury(live, "payment", *(f"poison {number}" for number in range(POISON)), _reserved(live, order))
    return live.aws.dead_letters("payment")


def _example(name: str) -> str:
    """One of the contracts' examples. An invalid one stands beside the error that it must give."""
    example = jsontext.loads((SCHEMAS / "examples" / f"{name}.json").read_text())
    return jsontext.dumps(example.get("event", example))


def _unknown_order(live: Live) -> tuple[Order, Event]:
    """An order that is not saved, with its `order.created`."""
    product = live.product(stock=5)
    header = HeaderFactory(SystemClock()).new(EventType.ORDER_CREATED)
    line = Line(product, "Test product", 2, live.aws.products.read([product])[product].price)
    draft = Order("ORD-" + header.event_id[-8:], "CUST-TEST", (line,), header.time_ms, header.time_ms)
    order = create(replace(draft, payment_method=VISA), header)
    return order, stored_event(CATALOG, order)


def test_list_counts_the_dead_letters_of_each_service_by_reason(live: Live, dlq: Run) -> None:
    unknown = [CONTRACTS.encode(_unknown_order(live)[1]) for _ in range(2)]
    _dead(live, "inventory", NOT_JSON, "[1, 2", *unknown)
    _dead(live, "audit", _example("invalid/envelope.unknown-event-type"))
    shown = dlq("list")
    assert shown.returncode == 0, shown.stderr
    rows = [line.split() for line in shown.stdout.splitlines() if "breaks its contract" in line]
    counts = [row[:2] for row in rows if row[0] in ("inventory", "audit")]
    assert counts == [["inventory", "4"], ["audit", "1"]]
    text = " ".join(shown.stdout.split())
    assert "2 no breaks its contract: not JSON" in text
    assert "2 no breaks its contract: correlationId: order ORD-… does not exist" in text
    assert [live.aws.dead_letters(name).depth() for name in ("inventory", "audit")] == [4, 1]


def test_peek_shows_the_event_and_the_field_that_breaks_the_contract_and_takes_nothing(live: Live, dlq: Run) -> None:
    _dead(live, "audit", _example("invalid/order.created.negative-total"))
    shown = dlq("peek", "audit")
    assert "breaks its contract: payload.totalAmount:" in shown.stdout
    assert '"eventType": "order.created"' in shown.stdout
    assert live.aws.dead_letters("audit").depth() == 1


def test_a_message_whose_cause_is_fixed_is_redriven_and_its_order_finished(
    live: Live, dlq: Run, operator_log: Path
) -> None:
    order, event = _unknown_order(live)
    _dead(live, "inventory", CONTRACTS.encode(event))
    assert "0 of 1 to send" in dlq("redrive", "inventory", "--yes").stdout, "it would fail again"
    live.aws.orders.create(order)
    assert "can be processed: would publish inventory.reserved" in dlq("peek", "inventory").stdout
    live.send("audit", CONTRACTS.encode(event))  # it never went through the topic
    sent = dlq("redrive", "inventory", "--yes")
    assert (sent.returncode, "1 sent back" in sent.stdout) == (0, True), sent.stdout + sent.stderr
    assert live.closed([order.order_id])[0].status is Status.COMPLETED
    assert live.aws.dead_letters("inventory").depth() == 0
    entries = [json.loads(line) for line in operator_log.read_text().splitlines()]
    assert [entry["action"] for entry in entries] == ["peek", "redrive", "redrive ended"]
    assert ({entry["operator"] for entry in entries}, entries[-1]["sent"]) == ({os_user()}, 1)


def test_messages_that_had_their_effect_are_redriven_to_no_effect(live: Live, dlq: Run) -> None:
    product = live.product(stock=20)
    before = live.closed(live.place_at_once([{product: 1}] * 12))
    bodies = [_reserved(live, order) for order in before]
    _bury(live, "payment", *bodies, *bodies)
    sent = dlq("redrive", "payment", "--yes", "--all", "--rate", "200")
    assert (sent.returncode, "24 sent back" in sent.stdout) == (0, True), sent.stdout + sent.stderr
    live.queues_empty()
    assert live.read([order.order_id for order in before]) == before
    assert live.aws.dead_letters("payment").depth() == 0


def test_a_first_message_that_comes_back_stops_the_redrive(live: Live, dlq: Run) -> None:
    _dead(live, "notification", NOT_JSON, NOT_JSON + "!", NOT_JSON + "?")
    sent = dlq("redrive", "notification", "--all", "--yes")
    assert sent.returncode == 1
    assert "It came back (breaks its contract: not JSON" in sent.stderr
    assert '"redrive ended", "queue": "shopflow-test-notification-dlq", "sent": 1' in sent.stderr
    assert live.aws.dead_letters("notification").depth() == 3


def test_purge_deletes_what_was_shown_once_the_queue_is_named(live: Live, dlq: Run, operator_log: Path) -> None:
    _dead(live, "payment", NOT_JSON)
    letters = live.aws.dead_letters("payment")
    for answer in ("", "y\n", "shopflow-test-audit-dlq\n"):
        refused = dlq("purge", "payment", typed=answer)
        assert (refused.returncode, refused.stderr.strip(), letters.depth()) == (1, "Nothing was deleted.", 1)
    assert not operator_log.exists()
    purged = dlq("purge", "payment", typed=f"{letters.name}\n")
    assert (purged.returncode, letters.depth()) == (0, 0), purged.stderr


def test_only_the_good_letter_behind_hundreds_of_poison_ones_is_redriven_and_the_rest_is_purged(
    live: Live, dlq: Run
) -> None:
    letters = _bury_a_good_letter_behind_poison(live)
    listed = " ".join(dlq("list").stdout.split())
    assert "1 yes has had its effect" in listed
    assert f"{POISON} no breaks its contract: not JSON" in listed
    for command in (["redrive", "payment"], ["purge", "payment", "--would-fail", "--dry-run"]):
        assert "this was a dry run" in dlq(*command).stdout
        assert letters.depth() == POISON + 1
    sent = dlq("redrive", "payment", "--yes")
    assert (sent.returncode, "1 sent back" in sent.stdout) == (0, True), sent.stdout + sent.stderr
    assert letters.depth() == POISON
    purged = dlq("purge", "payment", "--would-fail", "--yes")
    assert (purged.returncode, f"{POISON} deleted" in purged.stdout) == (0, True), purged.stdout + purged.stderr


@pytest.mark.usefixtures("dlq")
def test_the_page_shows_the_good_letter_first_redrives_it_and_purges_the_rest(live: Live) -> None:
    letters = _bury_a_good_letter_behind_poison(live)
    aws, clock = live.aws, SystemClock()
    judge = DryRun(Outbox(CATALOG, CONTRACTS), aws.orders, aws.products, aws.audit, clock).judge
    desk = DeadLetterDesk(aws.dead_letters, clock, judge)
    shown = desk.look("payment")
    assert [(group["kind"], group["count"]) for group in shown["reasons"]] == [("done", 1), ("breach", POISON)]
    assert shown["letters"][0]["eventType"] == "inventory.reserved"
    assert desk.redrive("payment", RedriveRequest(None))["redriven"] == 1
    assert desk.purge("payment")["purged"] == POISON
    assert letters.depth() == 0
