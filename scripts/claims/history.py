"""Claims 5 and 7: what the audit trail proves, and what it tells about a failed order."""

from __future__ import annotations

from dataclasses import replace

from scripts.claims.lab import EXPIRED, MUG, Lab, Told, Verdict
from scripts.dlq import WOULD_SUCCEED, Redrive, Selection, target_of
from scripts.e2e import wait_for
from scripts.infra.clouds import local_client
from shopflow import jsontext
from shopflow.clock import SystemClock
from shopflow.domain.event import Event
from shopflow.domain.order import LEGAL_TRAILS, EventType, Order, Status
from shopflow.domain.times import to_text
from shopflow.invariants import check_trail, rebuilt
from shopflow.ports import AuditEntry
from workers.dead_letters import Walk
from workers.dry_run import Judged, Kind

DEAD_SECONDS = 30
RECEIVES = 3
REFUSAL = "AccessDeniedException"


def compliance(lab: Lab) -> Verdict:
    """The trail of an order, its replay, and two attempts to change an entry."""
    lab.stock(MUG, 1)
    lab.step("We place an order and read its trail from the audit log.")
    (order,) = lab.ended([lab.order()])
    trail = _whole_trail(lab, order)
    events = [entry.event for entry in trail]
    for number, entry in enumerate(trail, 1):
        then = rebuilt(events[:number])
        lab.evidence(
            to_text(entry.event.time_ms), f"{entry.event.event_type}; replayed: {then.status if then else '—'}"
        )
    differing = list(check_trail(order, events))
    lab.step("All events together replay to the order's record." if not differing else str(differing[0]))
    first = events[0]
    lab.step("We insert another event under the id of the first one, as the Audit Service would.")
    forged = replace(first, payload={**first.payload, "customerId": "SOMEBODY-ELSE"})
    lab.running.aws.audit.insert([forged], SystemClock().now_ms())
    lab.evidence("insert of the same id", "refused by the condition of the INSERT" if _same(lab, trail) else "changed")
    lab.step("We try to update the entry with all rights that this machine has.")
    lab.evidence("update of the entry", _try_update(lab, first))
    lab.evidence("the table's policy", _policy(lab))
    kept = _same(lab, trail)
    holds = order.status is Status.COMPLETED and not differing and kept
    return Verdict(holds, f"{len(trail)} events replay to the order. The log {'is' if kept else 'is not'} as before.")


def _whole_trail(lab: Lab, order: Order) -> list[AuditEntry]:
    return wait_for(
        lambda: lab.running.aws.audit.trail(order.order_id),
        lambda seen: len(seen) >= len(LEGAL_TRAILS[order.status]),
        DEAD_SECONDS,
    )


def _same(lab: Lab, trail: list[AuditEntry]) -> bool:
    return lab.running.aws.audit.trail(trail[0].event.order_id) == trail


def _try_update(lab: Lab, event: Event) -> str:
    """The attempt has a condition that never holds, so that it changes nothing where nobody checks rights."""
    client = local_client("dynamodb", lab.running.config.endpoint_url or "")
    try:
        client.update_item(
            TableName=lab.running.config.resources.events_table,
            Key={"orderId": {"S": event.order_id}, "eventId": {"S": event.event_id}},
            UpdateExpression="SET eventType = :forged",
            ConditionExpression="attribute_not_exists(orderId)",
            ExpressionAttributeValues={":forged": {"S": "forged"}},
        )
    except client.exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == REFUSAL:
            return "refused by the table's policy"
        return f"only our own condition stopped it ({code}): this local AWS does not check rights. AWS does"
    return "not refused"


def _policy(lab: Lab) -> str:
    client = local_client("dynamodb", lab.running.config.endpoint_url or "")
    try:
        arn = client.describe_table(TableName=lab.running.config.resources.events_table)["Table"]["TableArn"]
        (statement,) = jsontext.loads(client.get_resource_policy(ResourceArn=arn)["Policy"])["Statement"]
    except client.exceptions.ClientError:
        return "this local AWS keeps no policy of a table; terraform/modules/tables has it for AWS"
    actions = ", ".join(action.removeprefix("dynamodb:") for action in statement["Action"])
    return f"{statement['Effect']} to everybody: {actions}"


def debugging(lab: Lab) -> Verdict:
    """A declined order's history; a poisoned message and a failed one in the dead-letter queue."""
    lab.stock(MUG, 1)
    lab.step("A customer pays with an expired card.")
    (order,) = lab.until(Status.PAYMENT_FAILED, [lab.order(payment_method=EXPIRED)])
    trail = _whole_trail(lab, order)
    started = trail[0].event.time_ms
    for entry in trail:
        lab.evidence(f"{entry.event.event_type} after", f"{entry.event.time_ms - started} ms")
    lab.evidence("why it failed", order.failure_reason)
    explained = order.status is Status.PAYMENT_FAILED and trail[-1].event.event_type is EventType.INVENTORY_RELEASED
    lab.step("We send a message to the payment queue that breaks its contract.")
    message_id = lab.faults.poison("payment")
    poison = wait_for(lambda: _letters(lab, [message_id]), bool, DEAD_SECONDS)
    for one in poison:
        lab.evidence("poison in the dead-letter queue", one.explanation)
    redriven = _redriven(lab)
    lab.step("The poison would fail again, so a redrive leaves it. We delete it.")
    lab.running.supervisor.end_fault("poison in payment")
    left = lab.dead_letters("payment")
    lab.evidence("dead letters left", left)
    holds = explained and [one.kind for one in poison] == [Kind.BREACH] and redriven and not left
    return Verdict(
        holds, f"The trail says why the order failed ({order.failure_reason}). The redrive completed the other."
    )


def _redriven(lab: Lab) -> bool:
    """Whether a message that failed three times is redriven, and its order completed."""
    lab.stock(MUG, 1)
    lab.step("The Payment Service stops. A consumer that always fails takes its place, and an order comes.")
    lab.running.supervisor.stop("payment")
    try:
        order_id = lab.order()
        wait_for(lambda: lab.backlog("payment").waiting, bool, DEAD_SECONDS)
        queue = lab.running.aws.queue("payment")
        for _ in range(RECEIVES + 1):
            if messages := queue.receive(10, 1):
                queue.change_visibility(dict.fromkeys(messages, 0))
        dead = wait_for(
            lambda: [one for one in _letters(lab) if order_id in one.letter.message.body], bool, DEAD_SECONDS
        )
    finally:
        lab.running.supervisor.start("payment")
    for one in dead:
        lab.evidence(f"{order_id} in the dead-letter queue after {RECEIVES} receives", one.explanation)
    lab.step("The Payment Service is back. We redrive what would succeed now.")
    target = target_of("payment", lab.running.aws, lab.running.catalog, lab.running.env, Told(lab))
    Redrive(target, Selection(WOULD_SUCCEED), per_second=10, confirmed=True).run()
    (order,) = lab.ended([order_id])
    lab.evidence(order_id, order.status)
    return bool(dead) and order.status is Status.COMPLETED


def _letters(lab: Lab, message_ids: list[str] | None = None) -> list[Judged]:
    """What is in the dead-letter queue of payment, and why."""
    target = target_of("payment", lab.running.aws, lab.running.catalog, lab.running.env, Told(lab))
    with Walk(target.dlq, SystemClock()) as walk:
        judged = [one for letters in walk.batches() for one in target.judge("payment", letters)]
    return [one for one in judged if message_ids is None or one.message_id in message_ids]
