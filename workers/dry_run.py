"""Dry run: what would become of dead letters if their service processed them now.

SQS does not record why a message failed, so we find out again: first with the consumer's own checks, then with the real
handler over ports that read the live tables and refuse every effect (a write, a charge, a mail). The refusal comes back
as the outcome. So no decision of a handler is written twice, and a bug in a handler shows here as in the service. Each
message is judged alone, as if no other one were there.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from shopflow.clock import Clock, HeaderFactory
from shopflow.domain.event import Event
from shopflow.domain.order import Transition
from shopflow.errors import ContractBreach, Unavailable
from shopflow.messaging.handler import Done, Failed, Handler, Outcome, attempt_each
from shopflow.messaging.outbox import Outbox
from shopflow.ports import AuditLog, DeadLetter, Mail, Orders, Products
from workers.handlers import HANDLERS, WorkerPorts

MAX_REASON_CHARACTERS = 300


class Kind(StrEnum):
    """What would become of a message, the best first."""

    READY = "can be processed"
    DONE = "has had its effect"
    UNKNOWN = "cannot be judged now"
    FAILS = "fails"
    BREACH = "breaks its contract"

    @property
    def would_succeed(self) -> bool:
        return self in (Kind.READY, Kind.DONE)

    @property
    def would_fail(self) -> bool:
        return self in (Kind.FAILS, Kind.BREACH)

    @property
    def rank(self) -> int:
        return list(Kind).index(self)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``text`` is the contract breach, the error, or the effect that the message would have."""

    kind: Kind
    text: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A dead letter with its verdict."""

    letter: DeadLetter
    verdict: Verdict

    @property
    def message_id(self) -> str:
        return self.letter.message.message_id

    @property
    def kind(self) -> Kind:
        return self.verdict.kind

    @property
    def explanation(self) -> str:
        """The verdict in full, such as ``fails: KeyError: 'price'``."""
        return f"{self.kind}: {self.verdict.text}" if self.verdict.text else str(self.kind)

    @property
    def reason(self) -> str:
        """The verdict without ids and amounts, so that letters can be grouped by it."""
        text = re.sub(r"ORD-\w+", "ORD-…", self.verdict.text)
        text = re.sub(r"\$[\d.]+", "$…", text)
        text = re.sub(r"^(not JSON):.*", r"\1", text, flags=re.DOTALL)
        if self.kind is Kind.READY:
            text = text.partition(" (")[0]
        return f"{self.kind}: {text[:MAX_REASON_CHARACTERS]}" if text else str(self.kind)


Judge = Callable[[str, Sequence[DeadLetter]], list[Judged]]
"""Takes a service and some of its dead letters, and returns each with its verdict (`DryRun.judge`)."""


class Refused(Exception):
    """Raised in place of an effect. The text describes the effect; it is empty when the effect would change nothing."""


class DryRun:
    """Judges dead letters of every service. Only reads ``orders``, ``products`` and ``audit``.

    Thread-safe only if those three are.
    """

    def __init__(self, outbox: Outbox, orders: Orders, products: Products, audit: AuditLog, clock: Clock) -> None:
        self._outbox = outbox
        self._orders = orders
        self._products = products
        self._audit = audit
        self._clock = clock

    def judge(self, service: str, letters: Sequence[DeadLetter]) -> list[Judged]:
        """Each of ``letters`` with its verdict, in their order.

        Raises nothing: a letter is `Kind.UNKNOWN` when a dependency does not answer.
        """
        return list(map(Judged, letters, self._verdicts(service, letters)))

    def _verdicts(self, service: str, letters: Sequence[DeadLetter]) -> list[Verdict]:
        if service not in HANDLERS:
            return [Verdict(Kind.UNKNOWN, f"{service} is not one of ShopFlow's own services")] * len(letters)
        read = [self._decoded(service, letter.message.body) for letter in letters]
        events = [event for event in read if isinstance(event, Event)]
        handler = HANDLERS[service](self._ports({event.order_id for event in events}), self._outbox)
        outcomes = iter(attempt_each(lambda event: _outcome(handler, event), events, self._clock))
        return [_verdict(next(outcomes)) if isinstance(event, Event) else event for event in read]

    def _decoded(self, service: str, body: str) -> Event | Verdict:
        """The event in ``body``, or the verdict if the service does not process it."""
        try:
            event = self._outbox.contracts.decode(body)
        except Exception as error:
            return _failure(error)
        if event.event_type in self._outbox.catalog.services[service].consumes:
            return event
        return Verdict(Kind.DONE, f"{event.event_type} does not belong here, and is acknowledged")

    def _ports(self, order_ids: set[str]) -> WorkerPorts:
        """The ports of one handler. All ``order_ids`` are read at the first read; each set of products is read once."""
        orders = cache(lambda: self._orders.read(order_ids))
        products = cache(lambda ids: self._products.read(ids))
        return WorkerPorts(
            orders=_port(read=lambda _: orders(), commit=_refuse_commit, commit_each=_refuse_commit),
            products=_port(read=lambda ids: products(frozenset(ids))),
            audit=_port(insert=self._refuse_insert),
            gateway=lambda: _port(charge=_refuse_charge),
            mailer=lambda: _port(send=_refuse_mail),
            clock=self._clock,
            headers=HeaderFactory(self._clock),
            each=map,
        )

    def _refuse_insert(self, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:  # noqa: ARG002
        [event] = events
        is_there = self._audit.has(event.order_id, event.event_id)
        raise Refused("" if is_there else f"would record {event.event_type}")


def _outcome(handler: Handler, event: Event) -> Outcome:
    try:
        [outcome] = handler.handle([event])
    except Exception as error:
        return Failed(error)
    return outcome


def _verdict(outcome: Outcome) -> Verdict:
    if isinstance(outcome, Done):
        return Verdict(Kind.DONE)
    if isinstance(outcome.error, Refused):
        effect = str(outcome.error)
        return Verdict(Kind.READY if effect else Kind.DONE, effect)
    return _failure(outcome.error)


def _failure(error: Exception) -> Verdict:
    if isinstance(error, ContractBreach):
        return Verdict(Kind.BREACH, str(error))
    if isinstance(error, Unavailable):
        return Verdict(Kind.UNKNOWN, str(error))
    return Verdict(Kind.FAILS, f"{type(error).__name__}: {error}{_place(error)}")


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" (at {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _port(**methods: Callable[..., Any]) -> Any:
    """A port with only the methods that the handlers call, so that no other effect is possible."""
    return SimpleNamespace(**methods)


def _refuse_commit(transitions: Sequence[Transition], stock: Mapping[str, int] | None = None) -> dict[str, Exception]:  # noqa: ARG001
    if not transitions:
        return {}
    raise Refused(_effect(transitions[0]))


def _effect(transition: Transition) -> str:
    outbox = transition.after.outbox
    if outbox is not None and outbox != transition.before.outbox:
        reason = f" ({transition.after.failure_reason})" if transition.after.failure_reason else ""
        return f"would publish {outbox.event_type}{reason}"
    return "would close the order" if transition.after.opened_at is None else "would clear its outbox"


def _refuse_charge(idempotency_key: str, amount: Decimal, payment_method: str | None) -> None:  # noqa: ARG001
    raise Refused(f"would charge ${amount}")


def _refuse_mail(mail: Mail) -> None:
    raise Refused(f"would notify the customer: {mail.subject}")
