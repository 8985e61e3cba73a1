"""Mutants: deliberate faults in the code, by name. Each replaces a piece of one or two functions."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent
from types import CodeType
from typing import Any

from api.placing import PlaceOrder
from shopflow.domain import order as domain
from shopflow.domain.order import Order
from shopflow.domain.times import after_cause
from shopflow.memory.tables import MemoryAuditLog, MemoryOrders
from shopflow.messaging import outbox
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.deferred import DeferredMessages, nack
from shopflow.messaging.group_commit import GroupCommit
from shopflow.messaging.outbox import Publisher
from shopflow.messaging.relay import Relay
from shopflow.messaging.sweep import Sweep
from workers import inventory, payment
from workers.audit import Audit
from workers.dry_run import Kind
from workers.inventory import Inventory
from workers.notification import Notification
from workers.outbound import Outbound
from workers.payment import Payment


class OutdatedMutant(Exception):
    """The code that a mutant replaces has changed: the mutant must follow it."""


Edit = tuple[Any, str, str]
"""A function or a property, a piece of its source that occurs once, and what comes in its place.

Further lines of the new piece are indented as the line is in which the old one begins.
"""


class Mutant:
    """What the code does with the ``edits`` in it. ``made_for``: words in the names of the runs that catch it."""

    def __init__(self, does: str, *edits: Edit, made_for: tuple[str, ...] = ()) -> None:
        self.does = does
        self.made_for = made_for
        self.functions = [_function(target) for target, _, _ in edits]
        self._edits = edits

    @contextmanager
    def put_in(self) -> Iterator[None]:
        """The code with this fault in it, until the end of the ``with`` block. Raises `OutdatedMutant`."""
        originals = [function.__code__ for function in self.functions]
        mutated = [_mutated(edit) for edit in self._edits]
        try:
            for function, code in zip(self.functions, mutated, strict=True):
                function.__code__ = code
            yield
        finally:
            for function, code in zip(self.functions, originals, strict=True):
                function.__code__ = code


def _function(target: Any) -> Any:
    return getattr(target, "fget", target)


def _mutated(edit: Edit) -> CodeType:
    target, old, new = edit
    function = _function(target)
    source = dedent(inspect.getsource(function))
    if source.count(old) != 1:
        raise OutdatedMutant(f"{function.__qualname__} has {source.count(old)} times {old!r}")
    line = source[: source.index(old)].rsplit("\n", 1)[-1]
    indent = line[: len(line) - len(line.lstrip())]
    made: dict[str, Any] = {}
    source = source.replace(old, dedent(new).strip("\n").replace("\n", "\n" + indent))
    exec(compile(source, function.__code__.co_filename, "exec"), function.__globals__, made)  # noqa: S102
    code: CodeType = _function(made[function.__name__]).__code__
    return code


COMMITTED_EARLY = (Payment._charge, "try:\n        outgoing", "self._orders.commit([transition])\ntry:\n    outgoing")

MUTANTS = {
    # of a service
    "publish_before_commit": Mutant(
        "The API publishes `order.created` before it saves the order.",
        (PlaceOrder._save, "standing = ", "self._publish_created(created)\nstanding = "),
        (PlaceOrder.place, "if not replayed:", "if False:"),
    ),
    "no_lost_answer_rule": Mutant(
        "The API takes an earlier order under the same key for a collision of ids, and tries the next id.",
        (PlaceOrder._save, "if _answers(standing, key, request):", "if standing == order:"),
    ),
    "release_guard_missing": Mutant(
        "Two Inventory processes that have the same `payment.failed` both return the stock.",
        (domain.release, 'guard=("status", "released_at")', 'guard=("status",)'),
    ),
    "release_twice": Mutant(
        "A redelivered `payment.failed` returns the stock again.",
        (inventory._changes_stock, "is_declined and order.released_at is None", "is_declined"),
        (domain.release, "if order.released_at is not None:", "if False:"),
    ),
    "release_never_cleared": Mutant(
        "The relay leaves a published `inventory.released` in the outbox.",
        (Relay._close, "if not transition.changes():", "if True:"),
    ),
    "nothing_returned": Mutant(
        "The release of a declined order returns no units.",
        (Inventory._commit, "not in declined], declined, products", "not in declined], [], products"),
    ),
    "refusals_committed_apart": Mutant(
        "Inventory commits the refused orders of a batch before the reserved ones, not together with them.",
        (
            Inventory._commit,
            "self._orders.commit(transitions, decided.stock)",
            """
            apart = [one for one in transitions if one.before.order_id in decided.refused]
            for one in apart:
                self._orders.commit([one])
            self._orders.commit([one for one in transitions if one not in apart], decided.stock)
            """,
        ),
    ),
    "contention_taken_for_out_of_stock": Mutant(
        "Inventory refuses the orders of a batch when a transaction conflicts or is throttled.",
        (
            Inventory._commit,
            "self._orders.commit(transitions, decided.stock)",
            """
            try:
                self._orders.commit(transitions, decided.stock)
            except Contention:
                refused = Plan({order.order_id: 'Insufficient stock' for order in orders}, {})
                transitions = [self._decide(order, causes[order.order_id], refused) for order in orders]
                events = [self._outbox.outgoing(transition.after) for transition in transitions]
                self._orders.commit(transitions)
            """,
        ),
    ),
    "each_order_planned_last": Mutant(
        "Inventory plans each order of a batch on what all the others leave, as if it had come last.",
        (
            Inventory._commit,
            "decided = plan([order for order in orders if order not in declined], declined, products)",
            """
            refused = {}
            requests = [order for order in orders if order not in declined]
            for one in requests:
                others = [other for other in requests if other is not one]
                reasons = plan([*others, one], declined, products).refused
                refused |= {one.order_id: reasons[one.order_id]} if one.order_id in reasons else {}
            fitting = plan([one for one in requests if one.order_id not in refused], declined, products)
            decided = Plan({**fitting.refused, **refused}, fitting.stock)
            """,
        ),
    ),
    "no_idempotency_key": Mutant(
        "Payment makes up a new key for each try of a charge.",
        (Payment._ask_gateway, "order.order_id,", "self._headers.new(EventType.PAYMENT_PROCESSED, event).event_id,"),
    ),
    "decision_published": Mutant(
        "Payment publishes what it decided, not what is stored, when another process has moved the order.",
        (Payment._charge, "except Conflict:\n        return Done()", "except Conflict:\n    pass"),
    ),
    "outage_taken_for_a_decline": Mutant(
        "Payment declines an order when the gateway does not answer.",
        (
            Payment._charge,
            "transition = self._ask_gateway(event, order)",
            """
            from shopflow.errors import Unavailable
            try:
                transition = self._ask_gateway(event, order)
            except Unavailable:
                transition = decline(order, self._headers.new(EventType.PAYMENT_FAILED, event), 'no answer')
            """,
        ),
    ),
    "recorded_before_sent": Mutant(
        "Notification records that the customer is notified, then sends the mail.",
        (Notification._send, "self._outbound.send(", "self._record([order])\nself._outbound._mailer.send("),
    ),
    "notified_again": Mutant(
        "Notification does not look whether the customer was notified already.",
        (
            Notification._send,
            "if order.notified_at is None:\n        self._outbound.send(",
            "if True:\n    self._outbound._mailer.send(",
        ),
    ),
    "closed_before_notified": Mutant(
        "A declined order is closed as soon as its stock is released and published.",
        (Order.is_finished, "if self.notified_at is None:", "if self.outbox is None:\n    return True\nif False:"),
    ),
    "failed_inserts_ignored": Mutant(
        "Audit acknowledges the events of a batch whose insert failed.",
        (Audit.handle, "Failed(failures[event.event_id]) if event.event_id in failures else Done()", "Done()"),
    ),
    # of a transition, a store, the consumer or the relay
    "no_status_condition": Mutant(
        "A transition is committed whatever status the order has by then.",
        (domain._transition, 'guard=("status",)', "guard=()"),
    ),
    "no_stock_condition": Mutant(
        "Units are taken from a product whether or not they are there.",
        (MemoryOrders._falls_short, "(change < 0 and", "(False and"),
    ),
    "closed_before_published": Mutant(
        "A declined order is closed once it is notified and released, published or not.",
        (Order.is_finished, "self.released_at is not None and self.outbox is None", "self.released_at is not None"),
    ),
    "clocks_trusted": Mutant(
        "An event carries its service's time even when that is before the time of its cause.",
        (after_cause, " if cause_ms is None else max(now_ms, cause_ms + 1)", ""),
    ),
    "new_id_at_each_publication": Mutant(
        "An event gets its id when it is published, not when it is committed.",
        (
            outbox.stored_event,
            "return Event(\n        event_id=header.event_id,",
            "import secrets\nreturn Event(\n    event_id=header.event_id[:16] + secrets.token_hex(5).upper(),",
        ),
    ),
    "audit_entries_overwritten": Mutant(
        "The audit log stores an event without looking whether it is there.",
        (MemoryAuditLog.insert, ".setdefault(", ".__setitem__("),
    ),
    "ack_before_commit": Mutant(
        "The consumer deletes its messages before it handles them.",
        (
            Consumer._process,
            "started = time.monotonic()",
            "started = time.monotonic()\nself._acknowledge([delivery.message for delivery in deliveries])",
        ),
    ),
    "breach_of_contract_acked": Mutant(
        "The consumer deletes messages that break their contract: they never reach the dead-letter queue.",
        (
            nack,
            "queue.change_visibility(seconds)",
            "queue.change_visibility(seconds) if any(seconds.values()) else queue.delete(list(seconds))",
        ),
    ),
    "failure_acked": Mutant(
        "The consumer takes a failed event for a done one.",
        (
            Consumer._trace,
            "return outcomes",
            "return [outcome if isinstance(outcome, Done) else Done() for outcome in outcomes]",
        ),
    ),
    "refused_entries_ignored": Mutant(
        "The publisher does not read which entries of a batch the topic refused.",
        (Publisher._request, "event.event_id not in refused", "True"),
        made_for=("lose_answers_for_ten_minutes", "inventory's orders.commit"),
    ),
    "relay_ignores_receipts": Mutant(
        "The relay publishes every event of an open order again.",
        (Relay.look_at, " and not self._audit.has(order_id, order.outbox.event_id)", ""),
    ),
    "relay_trusts_blindly": Mutant(
        "The relay takes every event for published.",
        (Relay.look_at, "if order.outbox is not None and not", "if order.outbox is not None and False and"),
    ),
    "relay_never_sweeps": Mutant(
        "The relay does not look for open orders.",
        (Relay.sweep, "sweep = Sweep(", "return True\nsweep = Sweep("),
    ),
    "relay_stops_at_the_first_outage": Mutant(
        "The relay's first sweep that meets an outage is its last.",
        (Relay._look_at_all, "failed[order_id] = sweep", "self.sweep = lambda: True"),
    ),
    # of what keeps one order from hurting another
    "committed_before_encoded": Mutant(
        "Payment commits what the gateway answered before it knows that an event can carry it.",
        COMMITTED_EARLY,
    ),
    "any_reason_taken": Mutant(
        "Payment takes a decline's reason as it comes; one that no event can carry keeps the order open for ever.",
        COMMITTED_EARLY,
        (payment.checked, "Decline(one_line(answer.reason, MAX_REASON_CHARS) or NO_REASON)", "answer"),
    ),
    "any_amount_taken": Mutant(
        "Payment does not compare what the gateway charged with what it was asked to charge.",
        (payment.checked, "if answer.amount != amount:", "return answer\nif False:"),
        made_for=("gateway.charge", "nonsense"),
    ),
    "nothing_received_while_anything_is_deferred": Mutant(
        "The consumer receives nothing new as long as a message is deferred.",
        (Consumer._receive, "patience = ", "if self._deferred:\n    return []\npatience = "),
        made_for=("orders.read", "refuse"),
    ),
    "deferred_messages_become_visible": Mutant(
        "The consumer does not keep deferred messages hidden: each return of one is a receive.",
        (DeferredMessages.keep_hidden, "now = self._now()", "return"),
        made_for=("orders.read", "refuse"),
    ),
    "retried_together": Mutant(
        "Deferred messages are tried as a batch only: one that makes every batch fail takes the others with it.",
        (Consumer._retry_due, "(due[:1], due[1:])", "(due,)"),
        made_for=("orders.commit", "refuse"),
    ),
    "mails_forgotten": Mutant(
        "Notification forgets what it has sent when it cannot record it.",
        (Outbound._remember, "with self._lock:", "return\nwith self._lock:"),
    ),
    "batch_fails_as_a_whole": Mutant(
        "Inventory fails every order of a batch when one of them raises an error.",
        (Inventory._one_by_one, "by_id = ", "return {one.order_id: Failed(KeyError()) for one in orders}\nby_id = "),
    ),
    "nothing_published_again_after_retention": Mutant(
        "The relay leaves an order alone once its event has a receipt, though SQS has deleted every copy since.",
        (Sweep.copies_have_expired, "if order.opened_at is None:", "if True:"),
    ),
    "superseded_event_forgotten": Mutant(
        "A release forgets the event that it replaces in the outbox.",
        (domain.release, "order.outbox if order.notified_at is None else None", "None"),
    ),
    "future_orders_never_due": Mutant(
        "The relay does not look at an order whose opening time is in the future.",
        (Sweep.is_due, "if opened_at > self.now:", "if opened_at > self.now:\n    return False\nif False:"),
    ),
    "sweep_cut_short_by_one_order": Mutant(
        "The relay's sweep ends at the first order that it cannot look at, and the next sweep begins there again.",
        (
            Relay._look_at_all,
            "self.look_at(order_id, sweep)",
            "try:\n    self.look_at(order_id, sweep)\nexcept Exception:\n    return dict(due)",
        ),
        made_for=("relay's orders.read", "refuse"),
    ),
    "publish_fails_as_a_whole": Mutant(
        "When the topic refuses one event's text, the publisher publishes no event of that batch.",
        (GroupCommit._results, "if len(values) == 1:\n            return [error]", "return [error] * len(values)"),
        made_for=("inventory's topic.publish", "break_down"),
    ),
    "misrouted_dead_lettered": Mutant(
        "The consumer takes a valid event in the wrong queue for poison.",
        (Consumer._decode, "misrouted.append(message)", "failed[message] = 0"),
    ),
    "purge_of_what_would_succeed": Mutant(
        "The operator's purge deletes whatever is not known to be done, also what could be processed.",
        (Kind.would_fail, "self in (Kind.FAILS, Kind.BREACH)", "self is not Kind.DONE"),
        (Kind.would_succeed, "self in (Kind.READY, Kind.DONE)", "self is Kind.DONE"),
    ),
}
