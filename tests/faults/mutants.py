"""Mutants: deliberate faults in the code. Each replaces a piece of one or two functions."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Edit:
    """``old`` in the source of ``target``, a function or a property, becomes ``new``.

    ``old`` must occur once. Further lines of ``new`` are indented as the line is that ``old`` begins in.
    """

    target: Any
    old: str
    new: str

    @property
    def function(self) -> Any:
        return getattr(self.target, "fget", self.target)

    def code(self) -> CodeType:
        """The function's code with the edit in it. Raises `OutdatedMutant`."""
        function = self.function
        source = dedent(inspect.getsource(function))
        if source.count(self.old) != 1:
            raise OutdatedMutant(f"{function.__qualname__} has {source.count(self.old)} times {self.old!r}")
        line = source[: source.index(self.old)].rsplit("\n", 1)[-1]
        indent = line[: len(line) - len(line.lstrip())]
        source = source.replace(self.old, self.new.replace("\n", "\n" + indent))
        made: dict[str, Any] = {}
        exec(compile(source, function.__code__.co_filename, "exec"), function.__globals__, made)  # noqa: S102
        code: CodeType = Edit(made[function.__name__], "", "").function.__code__
        return code


class Mutant:
    """``does``: what the code does with the edits in it. ``made_for``: words in the names of the runs that catch it."""

    def __init__(self, name: str, does: str, *edits: Edit, made_for: tuple[str, ...] = ()) -> None:
        self.name = name
        self.does = does
        self.edits = edits
        self.made_for = made_for

    @contextmanager
    def put_in(self) -> Iterator[None]:
        """The code with this fault in it, until the end of the ``with`` block. Raises `OutdatedMutant`."""
        mutated = [(edit.function, edit.function.__code__, edit.code()) for edit in self.edits]
        try:
            for function, _, code in mutated:
                function.__code__ = code
            yield
        finally:
            for function, original, _ in mutated:
                function.__code__ = original


COMMITTED_BEFORE_ENCODED = Edit(
    Payment._charge,
    "try:\n        outgoing =",
    "self._orders.commit([transition])\ntry:\n    outgoing =",
)

OF_SERVICES = (
    Mutant(
        "publish_before_commit",
        "The API publishes `order.created` before it saves the order.",
        Edit(
            PlaceOrder._save,
            "standing = self.orders.create(order)",
            "self._publish_created(created)\nstanding = self.orders.create(order)",
        ),
        Edit(PlaceOrder.place, "if not replayed:", "if False:"),
    ),
    Mutant(
        "no_lost_answer_rule",
        "The API takes an earlier order under the same key for a collision of ids, and tries the next id.",
        Edit(PlaceOrder._save, "if _answers(standing, key, request):", "if standing == order:"),
    ),
    Mutant(
        "release_guard_missing",
        "Two Inventory processes that have the same `payment.failed` both return the stock.",
        Edit(domain.release, 'guard=("status", "released_at")', 'guard=("status",)'),
        made_for=("declined", "oversleep", "inventory's orders.commit"),
    ),
    Mutant(
        "release_twice",
        "A redelivered `payment.failed` returns the stock again.",
        Edit(inventory._changes_stock, "is_declined and order.released_at is None", "is_declined"),
        Edit(domain.release, "if order.released_at is not None:", "if False:"),
    ),
    Mutant(
        "release_never_cleared",
        "The relay leaves a published `inventory.released` in the outbox.",
        Edit(Relay._close, "if not transition.changes():", "if True:"),
    ),
    Mutant(
        "nothing_returned",
        "The release of a declined order returns no units.",
        Edit(Inventory._commit, "not in declined], declined, products", "not in declined], [], products"),
    ),
    Mutant(
        "refusals_committed_apart",
        "Inventory commits the refused orders of a batch before the reserved ones, not together with them.",
        Edit(
            Inventory._commit,
            "self._orders.commit(transitions, decided.stock)",
            "apart = [one for one in transitions if one.before.order_id in decided.refused]\n"
            "for one in apart:\n"
            "    self._orders.commit([one])\n"
            "self._orders.commit([one for one in transitions if one not in apart], decided.stock)",
        ),
    ),
    Mutant(
        "contention_taken_for_out_of_stock",
        "Inventory refuses the orders of a batch when a transaction conflicts or is throttled.",
        Edit(
            Inventory._commit,
            "self._orders.commit(transitions, decided.stock)",
            "try:\n"
            "    self._orders.commit(transitions, decided.stock)\n"
            "except Contention:\n"
            "    refused = Plan({order.order_id: 'Insufficient stock' for order in orders}, {})\n"
            "    transitions = [self._decide(order, causes[order.order_id], refused) for order in orders]\n"
            "    events = [self._outbox.outgoing(transition.after) for transition in transitions]\n"
            "    self._orders.commit(transitions)",
        ),
        made_for=("refuse at", "inventory's orders.commit"),
    ),
    Mutant(
        "each_order_planned_last",
        "Inventory plans each order of a batch on what all the others leave, as if it had come last.",
        Edit(
            Inventory._commit,
            "decided = plan([order for order in orders if order not in declined], declined, products)",
            "refused = {}\n"
            "requests = [order for order in orders if order not in declined]\n"
            "for one in requests:\n"
            "    others = [other for other in requests if other is not one]\n"
            "    reasons = plan([*others, one], declined, products).refused\n"
            "    refused |= {one.order_id: reasons[one.order_id]} if one.order_id in reasons else {}\n"
            "fitting = plan([one for one in requests if one.order_id not in refused], declined, products)\n"
            "decided = Plan({**fitting.refused, **refused}, fitting.stock)",
        ),
    ),
    Mutant(
        "no_idempotency_key",
        "Payment makes up a new key for each try of a charge.",
        Edit(
            Payment._ask_gateway,
            "charge(order.order_id,",
            "charge(self._headers.new(EventType.PAYMENT_PROCESSED, event).event_id,",
        ),
    ),
    Mutant(
        "decision_published",
        "Payment publishes what it decided, not what is stored, when another process has moved the order.",
        Edit(Payment._charge, "except Conflict:\n        return Done()", "except Conflict:\n    pass"),
        made_for=("oversleep", "payment's gateway.charge"),
    ),
    Mutant(
        "outage_taken_for_a_decline",
        "Payment declines an order when the gateway does not answer.",
        Edit(
            Payment._charge,
            "transition = self._ask_gateway(event, order)",
            "from shopflow.errors import Unavailable\n"
            "try:\n"
            "    transition = self._ask_gateway(event, order)\n"
            "except Unavailable:\n"
            "    transition = decline(order, self._headers.new(EventType.PAYMENT_FAILED, event), 'no answer')",
        ),
        made_for=("lose_the_answer", "payment's gateway.charge"),
    ),
    Mutant(
        "recorded_before_sent",
        "Notification records that the customer is notified, then sends the mail.",
        Edit(
            Notification._send,
            "self._outbound.send(mail_about(event, order))",
            "self._record([order])\nself._outbound._mailer.send(mail_about(event, order))",
        ),
    ),
    Mutant(
        "notified_again",
        "Notification does not look whether the customer was notified already.",
        Edit(
            Notification._send,
            "if order.notified_at is None:\n        self._outbound.send(",
            "if True:\n    self._outbound._mailer.send(",
        ),
    ),
    Mutant(
        "closed_before_notified",
        "A declined order is closed as soon as its stock is released and published.",
        Edit(Order.is_finished, "if self.notified_at is None:", "if self.outbox is None:\n    return True\nif False:"),
    ),
    Mutant(
        "failed_inserts_ignored",
        "Audit acknowledges the events of a batch whose insert failed.",
        Edit(
            Audit.handle,
            "Failed(failures[event.event_id]) if event.event_id in failures else Done()",
            "Done()",
        ),
    ),
)
OF_MESSAGING = (
    Mutant(
        "no_status_condition",
        "A transition is committed whatever status the order has by then.",
        Edit(domain._transition, 'guard=("status",)', "guard=()"),
        made_for=("oversleep", "inventory's orders.commit"),
    ),
    Mutant(
        "no_stock_condition",
        "Units are taken from a product whether or not they are there.",
        Edit(MemoryOrders._falls_short, "(change < 0 and", "(False and"),
    ),
    Mutant(
        "closed_before_published",
        "A declined order is closed once it is notified and released, published or not.",
        Edit(Order.is_finished, "self.released_at is not None and self.outbox is None", "self.released_at is not None"),
    ),
    Mutant(
        "clocks_trusted",
        "An event carries its service's time even when that is before the time of its cause.",
        Edit(after_cause, " if cause_ms is None else max(now_ms, cause_ms + 1)", ""),
    ),
    Mutant(
        "new_id_at_each_publication",
        "An event gets its id when it is published, not when it is committed.",
        Edit(
            outbox.stored_event,
            "return Event(\n        event_id=header.event_id,",
            "import secrets\nreturn Event(\n    event_id=header.event_id[:16] + secrets.token_hex(5).upper(),",
        ),
    ),
    Mutant(
        "audit_entries_overwritten",
        "The audit log stores an event without looking whether it is there.",
        Edit(MemoryAuditLog.insert, ".setdefault(", ".__setitem__("),
    ),
    Mutant(
        "ack_before_commit",
        "The consumer deletes its messages before it handles them.",
        Edit(
            Consumer._process,
            "started = time.monotonic()",
            "started = time.monotonic()\nself._acknowledge([delivery.message for delivery in deliveries])",
        ),
    ),
    Mutant(
        "breach_of_contract_acked",
        "The consumer deletes messages that break their contract: they never reach the dead-letter queue.",
        Edit(
            nack,
            "queue.change_visibility(seconds)",
            "queue.change_visibility(seconds) if any(seconds.values()) else queue.delete(list(seconds))",
        ),
    ),
    Mutant(
        "failure_acked",
        "The consumer takes a failed event for a done one.",
        Edit(
            Consumer._trace,
            "return outcomes",
            "return [outcome if isinstance(outcome, Done) else Done() for outcome in outcomes]",
        ),
    ),
    Mutant(
        "refused_entries_ignored",
        "The publisher does not read which entries of a batch the topic refused.",
        Edit(Publisher._request, "event.event_id not in refused", "True"),
        made_for=("lose_answers_for_ten_minutes", "inventory's orders.commit"),
    ),
    Mutant(
        "relay_ignores_receipts",
        "The relay publishes every event of an open order again.",
        Edit(Relay.look_at, " and not self._audit.has(order_id, order.outbox.event_id)", ""),
    ),
    Mutant(
        "relay_trusts_blindly",
        "The relay takes every event for published.",
        Edit(Relay.look_at, "if order.outbox is not None and not", "if order.outbox is not None and False and"),
    ),
    Mutant(
        "relay_never_sweeps",
        "The relay does not look for open orders.",
        Edit(Relay.sweep, "sweep = Sweep(", "return True\nsweep = Sweep("),
    ),
    Mutant(
        "relay_stops_at_the_first_outage",
        "The relay's first sweep that meets an outage is its last.",
        Edit(Relay._look_at_all, "failed[order_id] = sweep", "self.sweep = lambda: True"),
    ),
)
OF_NEIGHBOURS = (
    Mutant(
        "committed_before_encoded",
        "Payment commits what the gateway answered before it knows that an event can carry it.",
        COMMITTED_BEFORE_ENCODED,
        made_for=("gateway.charge", "nonsense"),
    ),
    Mutant(
        "any_reason_taken",
        "Payment takes a decline's reason as it comes; one that no event can carry keeps the order open for ever.",
        COMMITTED_BEFORE_ENCODED,
        Edit(payment.checked, "Decline(one_line(answer.reason, MAX_REASON_CHARS) or NO_REASON)", "answer"),
        made_for=("gateway.charge", "nonsense"),
    ),
    Mutant(
        "any_amount_taken",
        "Payment does not compare what the gateway charged with what it was asked to charge.",
        Edit(payment.checked, "if answer.amount != amount:", "return answer\nif False:"),
        made_for=("gateway.charge", "nonsense"),
    ),
    Mutant(
        "nothing_received_while_anything_is_deferred",
        "The consumer receives nothing new as long as a message is deferred.",
        Edit(Consumer._receive, "patience = ", "if self._deferred:\n    return []\npatience = "),
        made_for=("orders.read", "refuse"),
    ),
    Mutant(
        "deferred_messages_become_visible",
        "The consumer does not keep deferred messages hidden: each return of one is a receive.",
        Edit(DeferredMessages.keep_hidden, "now = self._now()", "return"),
        made_for=("orders.read", "refuse"),
    ),
    Mutant(
        "retried_together",
        "Deferred messages are tried as a batch only: one that makes every batch fail takes the others with it.",
        Edit(Consumer._retry_due, "(due[:1], due[1:])", "(due,)"),
        made_for=("orders.commit", "refuse"),
    ),
    Mutant(
        "mails_forgotten",
        "Notification forgets what it has sent when it cannot record it.",
        Edit(Outbound._remember, "with self._lock:", "return\nwith self._lock:"),
    ),
    Mutant(
        "batch_fails_as_a_whole",
        "Inventory fails every order of a batch when one of them raises an error.",
        Edit(
            Inventory._one_by_one,
            "by_id = ",
            "return {order.order_id: Failed(KeyError('one of them')) for order in orders}\nby_id = ",
        ),
    ),
    Mutant(
        "nothing_published_again_after_retention",
        "The relay leaves an order alone once its event has a receipt, though SQS has deleted every copy since.",
        Edit(Sweep.copies_have_expired, "if order.opened_at is None:", "if True:"),
    ),
    Mutant(
        "superseded_event_forgotten",
        "A release forgets the event that it replaces in the outbox.",
        Edit(domain.release, "order.outbox if order.notified_at is None else None", "None"),
    ),
    Mutant(
        "future_orders_never_due",
        "The relay does not look at an order whose opening time is in the future.",
        Edit(Sweep.is_due, "if opened_at > self.now:", "if opened_at > self.now:\n    return False\nif False:"),
    ),
    Mutant(
        "sweep_cut_short_by_one_order",
        "The relay's sweep ends at the first order that it cannot look at, and the next sweep begins there again.",
        Edit(
            Relay._look_at_all,
            "self.look_at(order_id, sweep)",
            "try:\n    self.look_at(order_id, sweep)\nexcept Exception:\n    return dict(due)",
        ),
        made_for=("relay's orders.read", "refuse"),
    ),
    Mutant(
        "publish_fails_as_a_whole",
        "When the topic refuses one event's text, the publisher publishes no event of that batch.",
        Edit(GroupCommit._results, "if len(values) == 1:\n            return [error]", "return [error] * len(values)"),
        made_for=("inventory's topic.publish", "break_down"),
    ),
    Mutant(
        "misrouted_dead_lettered",
        "The consumer takes a valid event in the wrong queue for poison.",
        Edit(Consumer._decode, "misrouted.append(message)", "failed[message] = 0"),
    ),
    Mutant(
        "purge_of_what_would_succeed",
        "The operator's purge deletes whatever is not known to be done, also what could be processed.",
        Edit(Kind.would_fail, "self in (Kind.FAILS, Kind.BREACH)", "self is not Kind.DONE"),
        Edit(Kind.would_succeed, "self in (Kind.READY, Kind.DONE)", "self is Kind.DONE"),
    ),
)
MUTANTS = (*OF_SERVICES, *OF_MESSAGING, *OF_NEIGHBOURS)
