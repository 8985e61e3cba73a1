"""The seven claims of an event-driven shop, each with an experiment on the running stack."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from scripts.console import CommandError
from scripts.dlq import WOULD_SUCCEED, Selection, judge_of, target_of
from scripts.e2e import wait_for
from scripts.faults import POISONED
from scripts.infra.clouds import local_client
from scripts.infra.lifecycle import up
from scripts.infra.stack import ROOT
from scripts.lab import EXPIRED, LAST, MUG, SOON_SECONDS, Lab, Told
from scripts.services import service_commands
from shopflow import jsontext
from shopflow.catalog import load_catalog
from shopflow.clock import SystemClock
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Status
from shopflow.domain.times import to_text
from shopflow.errors import Conflict
from shopflow.invariants import check_trail, rebuilt
from shopflow.ports import AuditEntry
from workers.dead_letters import Walk
from workers.dry_run import Judged, Kind

MAX_POST_MS = 500
"""A tenth of the slow gateway's latency. An API that waited for the gateway could not answer so fast."""
UNTOLD = 5
WATCH_SECONDS = 6
"""The page draws the messages on their way to the queue more slowly than they travel."""
OVERLAY = ROOT / "examples" / "fraud" / "catalog.json"
LARGE = 100
CROWD = 60
RECEIVES = 3

Verdict = tuple[bool, str]
"""Whether the claim holds, and what was seen."""


def slow_payment(lab: Lab) -> Verdict:
    lab.stock(MUG, 40)
    lab.step("We place 10 orders, to see how fast POST /orders usually answers.")
    ids, before = lab.timed_orders(10)
    lab.evidence("POST p50 before", f"{before:.0f} ms")
    usual = lab.supervisor.env_of("payment")
    slow = dict.fromkeys(("PAYMENT_LATENCY_MIN_MS", "PAYMENT_LATENCY_MAX_MS"), "5000")
    lab.step("We restart the Payment Service with a gateway that takes 5 s for each charge.")
    lab.supervisor.restart("payment", {**usual, **slow})
    try:
        ends = time.monotonic() + 20
        lab.step("We place 30 orders while the gateway is slow.")
        more, during = lab.timed_orders(30)
        ids += more
        lab.evidence("POST p50 during", f"{during:.0f} ms")
        depth = lab.backlog("payment", lambda messages: messages > 1)
        lab.evidence("orders in the payment queue", depth)
        lab.step("The orders wait in the payment queue. No customer waits.")
        time.sleep(max(0.0, ends - time.monotonic()))
    finally:
        lab.step("We restart the Payment Service with its usual gateway.")
        lab.supervisor.restart("payment", usual)
    done = lab.completed(ids)
    lab.evidence("completed afterwards", f"{done} of {len(ids)}")
    holds = during < MAX_POST_MS and depth > 1 and done == len(ids)
    return holds, f"POST took {during:.0f} ms while each charge took 5 s; {done} orders completed."


def crashed_notification(lab: Lab) -> Verdict:
    lab.stock(MUG, UNTOLD)
    pid = lab.supervisor.pids().get(lab.supervisor.labels("notification")[0])
    lab.step(f"We kill the Notification Service (SIGKILL to process {pid}).")
    lab.supervisor.kill("notification")
    try:
        # The long poll of the dead process is still open, and would take a message.
        time.sleep(lab.running.config.receive_wait_seconds + 1)
        lab.step(f"We place {UNTOLD} orders.")
        ids = [lab.order() for _ in range(UNTOLD)]
        orders = lab.until(Status.PAYMENT_PROCESSED, ids)
        paid = sum(order.status is Status.PAYMENT_PROCESSED for order in orders)
        lab.evidence("orders paid without it", f"{paid} of {UNTOLD}")
        depth = lab.backlog("notification", lambda messages: messages >= UNTOLD)
        lab.evidence("messages that wait in its queue", depth)
        lab.step(
            "All are paid. A message for each of them waits in the notification queue, which is not in the process."
        )
        time.sleep(WATCH_SECONDS)
    finally:
        lab.step("The Notification Service comes back.")
        lab.supervisor.start("notification")
    done = lab.completed(ids)
    lab.evidence("completed afterwards", f"{done} of {UNTOLD}")
    lab.evidence("messages left in its queue", lab.backlog("notification", lambda messages: messages == 0))
    holds = paid == done == UNTOLD and depth >= UNTOLD
    return holds, f"{depth} messages waited while it was dead. All {done} orders are completed."


def added_service(lab: Lab) -> Verdict:
    whole, now = load_catalog(OVERLAY), lab.running.catalog
    new = whole.services.keys() - now.services.keys()
    if not new:
        raise CommandError("the service of examples/fraud is on already: unset SHOPFLOW_CATALOG_OVERLAY first")
    (flag,) = whole.events.keys() - now.events.keys()
    lab.stock(MUG, LARGE)
    audit = lab.supervisor.labels("audit")
    others = {label: pid for label, pid in lab.supervisor.pids().items() if label not in audit}
    git, added = _git_status(), list[str]()
    try:
        lab.step("We switch on examples/fraud. Terraform makes its queue: that takes about a minute.")
        up(lab.running.stack, {**lab.running.env, "SHOPFLOW_CATALOG_OVERLAY": str(OVERLAY)}, Told(lab))
        lab.step("We restart the Audit Service alone: it checks every event, so it has to know the new one's contract.")
        lab.supervisor.restart("audit")
        for command in service_commands(whole):
            if command.service in new:
                added.append(command.label)
                lab.supervisor.add(replace(command, env=lab.supervisor.env_of("audit")))
        lab.step(f"We order {LARGE} mugs for ${LARGE * MUG.price}.")
        order_id = lab.order(LARGE)

        def flags() -> list[AuditEntry]:
            return [entry for entry in lab.aws.audit.trail(order_id) if entry.event.event_type == flag]

        found = wait_for(flags, bool, SOON_SECONDS)
        for entry in found:
            lab.evidence(f"in the audit trail of {order_id}", f"{flag}: {'; '.join(entry.event.payload['reasons'])}")
        lab.ended([order_id])
        calm, clean = lab.untouched(others), _git_status() == git
        pids = ", ".join(f"{label} {pid}" for label, pid in others.items())
        lab.evidence("the same processes as before", f"{pids}: {'yes' if calm else 'no'}")
        if git is not None:
            lab.evidence("git status", "unchanged" if clean else "changed")
    finally:
        lab.step("We put everything back: its process stops, Terraform removes its queue.")
        lab.supervisor.remove(added)
        up(lab.running.stack, {**lab.running.env, "SHOPFLOW_CATALOG_OVERLAY": ""}, Told(lab))
        lab.supervisor.restart("audit")
    holds = len(found) == 1 and calm and clean
    return holds, "The order was flagged. No file changed, and no service but audit was restarted."


def _git_status() -> str | None:
    """None: this is no git clone, or there is no git."""
    try:
        answer = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return answer.stdout if answer.returncode == 0 else None


def last_item(lab: Lab) -> Verdict:
    lab.stock(LAST, 1)
    lab.step("The stock of DEMO-LAST is 1. Two customers order it at the same moment.")
    orders = lab.ended(lab.orders_at_once(2, LAST))
    for order in orders:
        lab.evidence(order.order_id, f"{order.status}: {order.failure_reason or 'it has the unit'}")
    stock = lab.stock_of(LAST)
    lab.evidence("stock", stock)
    refused = False
    if stock == 0:
        lab.step("We try the write of the loser once more ourselves: take 1 if stock >= 1.")
        try:
            lab.aws.orders.commit([], {LAST.product_id: -1})
        except Conflict as conflict:
            refused = LAST.product_id in conflict.products
            lab.evidence("conditional write", f"DynamoDB refuses it: {conflict}")
    statuses = sorted(str(order.status) for order in orders)
    holds = statuses == [Status.COMPLETED, Status.INVENTORY_FAILED] and stock == 0 and refused
    return holds, f"The two orders ended as {' and '.join(statuses)}; {stock} units are left."


def compliance(lab: Lab) -> Verdict:
    lab.stock(MUG, 1)
    lab.step("We place an order and read its trail from the audit log.")
    (order,) = lab.ended([lab.order()])
    trail = lab.trail(order)
    events = [entry.event for entry in trail]
    for number, event in enumerate(events, 1):
        then = rebuilt(events[:number])
        lab.evidence(to_text(event.time_ms), f"{event.event_type}; replayed: {then.status if then else '—'}")
    differing = list(check_trail(order, events))
    lab.step("All events together replay to the order's record." if not differing else str(differing[0]))
    lab.step("We insert another event under the id of the first one, as the Audit Service would.")
    forged = replace(events[0], payload={**events[0].payload, "customerId": "SOMEBODY-ELSE"})
    lab.aws.audit.insert([forged], SystemClock().now_ms())
    same = lab.aws.audit.trail(order.order_id) == trail
    lab.evidence("insert of the same id", "refused by the condition of the INSERT" if same else "changed")
    lab.step("We try to update the entry with all rights that this machine has.")
    _try_update(lab, events[0])
    kept = lab.aws.audit.trail(order.order_id) == trail
    holds = order.status is Status.COMPLETED and not differing and kept
    return holds, f"{len(trail)} events replay to the order. The log {'is' if kept else 'is not'} as before."


def _try_update(lab: Lab, event: Event) -> None:
    """The attempt has a condition that never holds, so that it changes nothing where nobody checks rights."""
    client = local_client("dynamodb", lab.running.config.endpoint_url or "")
    table = lab.running.config.resources.events_table
    try:
        client.update_item(
            TableName=table,
            Key={"orderId": {"S": event.order_id}, "eventId": {"S": event.event_id}},
            UpdateExpression="SET eventType = :forged",
            ConditionExpression="attribute_not_exists(orderId)",
            ExpressionAttributeValues={":forged": {"S": "forged"}},
        )
    except client.exceptions.ConditionalCheckFailedException:
        lab.evidence(
            "update of the entry", "only our own condition stopped it: this local AWS does not check rights. AWS does"
        )
    except client.exceptions.ClientError as error:
        lab.evidence("update of the entry", f"refused: {error}")
    try:
        arn = client.describe_table(TableName=table)["Table"]["TableArn"]
        (statement,) = jsontext.loads(client.get_resource_policy(ResourceArn=arn)["Policy"])["Statement"]
    except client.exceptions.ClientError:
        policy = "this local AWS keeps no policy of a table; terraform/tables.tf has it for AWS"
    else:
        actions = ", ".join(action.removeprefix("dynamodb:") for action in statement["Action"])
        policy = f"{statement['Effect']} to everybody: {actions}"
    lab.evidence("the table's policy", policy)


def scaled_inventory(lab: Lab) -> Verdict:
    lab.stock(MUG, CROWD)
    before = lab.supervisor.pids()
    lines, consuming = list[tuple[str, str]](), set[str]()

    def hear(label: str, line: str) -> None:
        lines.append((label, line))
        if "consuming with" in line:
            consuming.add(label)

    lab.heard.append(hear)
    added = lab.supervisor.scale("inventory", processes=3)
    labels = lab.supervisor.labels("inventory")
    lab.step(f"We start {len(added)} more inventory processes: {', '.join(added) or 'there are enough'}.")
    try:
        wait_for(lambda: consuming, lambda seen: seen.issuperset(added), SOON_SECONDS)
        lab.step(f"We place {CROWD} orders at once. The processes share one queue.")
        ids = lab.orders_at_once(CROWD)
        done = lab.completed(ids)
    finally:
        lab.step("We stop the added processes.")
        lab.supervisor.remove(added)
        lab.heard.remove(hear)
    reserving = [(label, line) for label, line in lines if label in labels and EventType.INVENTORY_RESERVED in line]
    reserved = {(label, one) for label, line in reserving for one in ids if one in line}
    shares = Counter(label for label, _ in reserved)
    for label in labels:
        lab.evidence(f"reserved by {label}", shares[label])
    stock, calm = lab.stock_of(MUG), lab.untouched(before)
    lab.evidence("orders completed", f"{done} of {CROWD}")
    lab.evidence("units left", stock)
    lab.evidence("processes that ran before are the same", "yes" if calm else "no")
    holds = len(shares) > 1 and len(reserved) == done == CROWD and stock == 0 and calm
    return holds, f"{len(reserved)} reservations for {CROWD} orders, by {len(shares)} processes; {stock} units left."


def debugging(lab: Lab) -> Verdict:
    lab.stock(MUG, 1)
    lab.step("A customer pays with an expired card.")
    (order,) = lab.until(Status.PAYMENT_FAILED, [lab.order(payment_method=EXPIRED)])
    events = [entry.event for entry in lab.trail(order)]
    for event in events:
        lab.evidence(f"{event.event_type} after", f"{event.time_ms - events[0].time_ms} ms")
    lab.evidence("why it failed", order.failure_reason)
    explained = order.status is Status.PAYMENT_FAILED and events[-1].event_type is EventType.INVENTORY_RELEASED
    lab.step("We send a message to the payment queue that breaks its contract.")
    message_id = lab.faults.poison()
    poison = _dead(lab, lambda one: one.message_id == message_id)
    for one in poison:
        lab.evidence("poison in the dead-letter queue", one.explanation)
    redriven = _redriven(lab)
    lab.step("The poison would fail again, so a redrive leaves it. We delete it.")
    lab.supervisor.end_fault(POISONED)
    left = lab.aws.dead_letters("payment").depth()
    lab.evidence("dead letters left", left)
    holds = explained and [one.kind for one in poison] == [Kind.BREACH] and redriven and not left
    return holds, f"The trail says why the order failed ({order.failure_reason}). The redrive completed the other."


def _redriven(lab: Lab) -> bool:
    """Whether a message that failed three times is redriven, and its order completed."""
    lab.stock(MUG, 1)
    lab.step("The Payment Service stops. A consumer that always fails takes its place, and an order comes.")
    lab.supervisor.stop("payment")
    try:
        order_id = lab.order()
        lab.backlog("payment", bool)
        queue = lab.aws.queue("payment")
        for _ in range(RECEIVES + 1):
            if messages := queue.receive(10, 1):
                queue.change_visibility(dict.fromkeys(messages, 0))
        dead = _dead(lab, lambda one: order_id in one.letter.message.body)
    finally:
        lab.supervisor.start("payment")
    for one in dead:
        lab.evidence(f"{order_id} in the dead-letter queue after {RECEIVES} receives", one.explanation)
    lab.step("The Payment Service is back. We redrive what would succeed now.")
    target = target_of("payment", lab.aws, lab.running.catalog, lab.running.env, Told(lab))
    target.redrive(Selection(WOULD_SUCCEED), per_second=10, confirmed=True)
    (order,) = lab.ended([order_id])
    lab.evidence(order_id, order.status)
    return bool(dead) and order.status is Status.COMPLETED


def _dead(lab: Lab, wanted: Callable[[Judged], bool]) -> list[Judged]:
    """The ``wanted`` ones in the dead-letter queue of payment, once there are any, and why they are there."""
    dlq, judge = lab.aws.dead_letters("payment"), judge_of(lab.aws, lab.running.catalog)

    def look() -> list[Judged]:
        with Walk(dlq, SystemClock()) as walk:
            return [one for letters in walk.batches() for one in judge("payment", letters) if wanted(one)]

    return wait_for(look, bool, SOON_SECONDS)


@dataclass(frozen=True, slots=True)
class Claim:
    """One of the seven. ``seconds``: about how long its experiment takes."""

    id: int
    title: str
    problem: str
    experiment: str
    seconds: int
    run: Callable[[Lab], Verdict]

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("id", "title", "problem", "experiment", "seconds")}


CLAIMS = (
    Claim(
        1,
        "A slow payment provider does not slow the shop",
        "The payment provider takes seconds to answer.",
        "The gateway takes 5 s for 20 s. We place 30 orders, and watch POST and the payment queue.",
        45,
        slow_payment,
    ),
    Claim(
        2,
        "A crashed service loses nothing",
        "The notification service crashes.",
        "We kill its process. Orders are paid, its queue fills, it comes back.",
        15,
        crashed_notification,
    ),
    Claim(
        3,
        "A new service changes no existing one",
        "Fraud detection has to be added.",
        "Terraform makes the queue of examples/fraud, its process starts, and it flags a large order.",
        180,
        added_service,
    ),
    Claim(
        4,
        "The last item is sold once",
        "Two customers race for the last item.",
        "The stock is 1. Two orders come at the same moment.",
        10,
        last_item,
    ),
    Claim(
        5,
        "Every step is on record",
        "Compliance asks what happened to an order, and whether anybody changed the record.",
        "We read a trail, replay it to each moment, and try to change an entry.",
        10,
        compliance,
    ),
    Claim(
        6,
        "Inventory scales on its own",
        "Inventory gets more orders than one process handles.",
        "Three inventory processes share one queue, and 60 orders come.",
        25,
        scaled_inventory,
    ),
    Claim(
        7,
        "A failed order can be debugged",
        "An order failed, and nobody knows why.",
        "We read a declined order's history, find a poisoned message, and redrive a failed one.",
        30,
        debugging,
    ),
)
