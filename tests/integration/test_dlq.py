"""The dead-letter commands on the real stack, on messages that the real services could not process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.dlq import main
from scripts.operator_log import os_user
from shopflow.domain.order import Status
from shopflow.messaging.outbox import stored_event
from tests.commands import Run, runner
from tests.left_behind import drafted
from tests.live import Live
from tests.system import CATALOG, CONTRACTS
from tests.waiting import eventually


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
    names = [service.name for service in CATALOG.consumers]

    def left() -> int:
        return sum(len(live.drain(name)) + live.aws.dead_letters(name).depth() for name in names)

    eventually(left, lambda count: count == 0)


def _dead(live: Live, service: str, body: str) -> None:
    """Send the body to the service's queue, and wait until it is in its dead-letter queue."""
    live.send(service, body)
    eventually(live.aws.dead_letters(service).depth, lambda depth: depth == 1)


def test_a_message_whose_cause_is_fixed_is_redriven_and_its_order_finished(
    live: Live, dlq: Run, operator_log: Path
) -> None:
    order = drafted(live, live.product(stock=5))
    created = CONTRACTS.encode(stored_event(CATALOG, order))
    _dead(live, "inventory", created)
    assert "0 of 1 to send" in dlq("redrive", "inventory", "--yes").stdout, "it would fail again"
    live.aws.orders.create(order)
    assert "can be processed: would publish inventory.reserved" in dlq("peek", "inventory").stdout
    live.send("audit", created)  # it never went through the topic
    sent = dlq("redrive", "inventory", "--yes")
    assert (sent.returncode, "1 sent back" in sent.stdout) == (0, True), sent.stdout + sent.stderr
    assert live.closed([order.order_id])[0].status is Status.COMPLETED
    assert live.aws.dead_letters("inventory").depth() == 0
    entries = [json.loads(line) for line in operator_log.read_text().splitlines()]
    assert [entry["action"] for entry in entries] == ["peek", "redrive", "redrive ended"]
    assert ({entry["operator"] for entry in entries}, entries[-1]["sent"]) == ({os_user()}, 1)


def test_purge_deletes_what_was_shown_once_the_queue_is_named(live: Live, dlq: Run, operator_log: Path) -> None:
    _dead(live, "payment", "this is not JSON")
    letters = live.aws.dead_letters("payment")
    assert "breaks its contract: not JSON" in dlq("list").stdout
    assert "this was a dry run" in dlq("purge", "payment", "--would-fail", "--dry-run").stdout
    for answer in ("", "y\n", "shopflow-test-audit-dlq\n"):
        refused = dlq("purge", "payment", typed=answer)
        assert (refused.returncode, refused.stderr.strip(), letters.depth()) == (1, "Nothing was deleted.", 1)
    assert not operator_log.exists()
    purged = dlq("purge", "payment", typed=f"{letters.name}\n")
    assert (purged.returncode, letters.depth()) == (0, 0), purged.stderr
