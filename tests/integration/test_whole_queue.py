"""A whole dead-letter queue on the real stack: a good letter behind hundreds of poison ones is found and saved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.ops.dead_letters import DeadLetterDesk, RedriveRequest
from scripts.dlq.__main__ import main
from shopflow.catalog import load_catalog
from shopflow.clock import SystemClock
from shopflow.contracts import Contracts
from shopflow.messaging.outbox import Outbox
from tests.commands import Run, runner
from tests.live import Live
from workers.dead_letters import judging
from workers.dry_run import DryRun, Kind, Verdict

CATALOG = load_catalog()
OUTBOX = Outbox(CATALOG, Contracts(CATALOG))
POISON = 300


@pytest.fixture
def dlq(live: Live, stack: Any, tmp_path: Path) -> Iterator[Run]:
    """The command, over a payment dead-letter queue of 300 poison letters with a good one behind them."""
    url = live.config.resources.dlq_urls["payment"]
    live.sqs.purge_queue(QueueUrl=url)
    for start in range(0, POISON, 10):
        entries: Any = [{"Id": str(n), "MessageBody": f"poison {start + n}"} for n in range(10)]
        live.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    order = live.closed([live.place({live.product(stock=1): 1})])[0]
    reserved = live.aws.audit.trail(order.order_id)[1].event
    live.sqs.send_message(QueueUrl=url, MessageBody=Contracts(CATALOG).encode(reserved))
    yield runner(main, stack.env, tmp_path / "operator.log")
    live.sqs.purge_queue(QueueUrl=url)


def test_a_good_letter_behind_hundreds_of_poison_ones_is_listed_and_redriven_and_no_poison_is(
    live: Live, dlq: Run
) -> None:
    letters = live.aws.dead_letters("payment")
    listed = " ".join(dlq("list").stdout.split())
    assert "1 yes has had its effect" in listed
    assert re.search(rf"{POISON} no breaks its contract: not JSON", listed)
    sent = dlq("redrive", "payment", "--yes")
    assert (sent.returncode, "1 sent back" in sent.stdout) == (0, True), sent.stdout + sent.stderr
    assert letters.depth() == POISON


def test_a_purge_of_what_would_fail_again_leaves_the_good_letter_and_its_dry_run_leaves_all(
    live: Live, dlq: Run
) -> None:
    letters = live.aws.dead_letters("payment")
    for arguments in (["--dry-run"], []):
        answer = dlq("purge", "payment", "--would-fail", *arguments)
        assert f"{POISON} of {POISON + 1} to delete" in answer.stdout, answer.stderr
        assert letters.depth() == POISON + 1
    purged = dlq("purge", "payment", "--would-fail", "--yes")
    assert (purged.returncode, f"{POISON} deleted" in purged.stdout) == (0, True), purged.stdout + purged.stderr
    [left] = letters.receive(10, hide_seconds=0, wait_seconds=0)
    assert "inventory.reserved" in left.message.body


def test_the_page_shows_the_good_letter_first_redrives_it_and_purges_the_rest(live: Live, dlq: Run) -> None:
    del dlq  # its queue
    desk = DeadLetterDesk(live.aws.dead_letters, SystemClock(), judging(dry_run(live)))
    shown = desk.look("payment")
    assert [(group["kind"], group["count"]) for group in shown["reasons"]] == [("done", 1), ("breach", POISON)]
    assert shown["letters"][0]["eventType"] == "inventory.reserved"
    assert desk.redrive("payment", RedriveRequest(None))["redriven"] == 1
    assert desk.purge("payment")["purged"] == POISON
    assert live.aws.dead_letters("payment").depth() == 0


def dry_run(live: Live) -> DryRun:
    return DryRun(OUTBOX, live.aws.orders, live.aws.products, live.aws.audit, SystemClock())


@pytest.mark.parametrize("service", ["inventory", "payment", "notification", "audit"])
def test_letters_that_are_judged_together_are_judged_as_each_alone(live: Live, service: str) -> None:
    orders = live.closed(live.place_at_once([{live.product(stock=200): 1}] * 30))
    wanted = CATALOG.services[service].consumes
    events = [entry.event for order in orders for entry in live.aws.audit.trail(order.order_id)]
    bodies = [Contracts(CATALOG).encode(event) for event in events if event.event_type in wanted]
    judge = dry_run(live).judge
    together = judge(service, ["poison", *bodies])
    assert together[0].kind is Kind.BREACH
    assert together[1:] == [judge(service, [body])[0] for body in bodies] == [Verdict(Kind.DONE)] * len(bodies)
