"""Dry run: what would become of dead letters if their service processed them now.

SQS does not record why a message failed, so we find out again: first with the consumer's own checks, then with the real
handler over ports that read the live tables and refuse every effect (a write, a charge, a mail). The refusal comes back
as the outcome. So no decision of a handler is written twice, and a bug in a handler shows here as in the service.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from shopflow.clock import Clock, HeaderFactory
from shopflow.domain.event import Event
from shopflow.domain.order import Transition
from shopflow.errors import Contention, ContractBreach, Unavailable
from shopflow.messaging.handler import Done, Failed, Handler, Outcome
from shopflow.messaging.outbox import Outbox
from shopflow.ports import MAX_STATEMENTS, AuditLog, DeadLetter, Mail, Orders, Products
from workers.handlers import HANDLERS, WorkerPorts

MAX_EVENTS = MAX_STATEMENTS
"""Events in one call of a handler. The audit log takes no more at a time."""
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


class WouldAct(Contention):
    """Raised in place of an effect. To the handler it means that nothing was written.

    ``effects``: what the handler was about to do, by order id. It did not get to the other orders.
    """

    def __init__(self, effects: Mapping[str, str]) -> None:
        super().__init__(", ".join(effects.values()))
        self.effects = effects


class HasEffect(Contention):
    """Raised in place of a write that would change nothing."""


class DryRun:
    """Judges dead letters of every service. Only reads ``orders``, ``products`` and ``audit``.

    Thread-safe only if those three are.
    """

    def __init__(self, outbox: Outbox, orders: Orders, products: Products, audit: AuditLog, clock: Clock) -> None:
        self._outbox = outbox
        ports = WorkerPorts(
            orders=_port(read=orders.read, commit=_refuse_commit, commit_each=_refuse_each),
            products=_port(read=products.read),
            audit=_port(has=audit.has, insert=partial(_refuse_insert, audit)),
            gateway=lambda: _port(charge=_refuse_charge),
            mailer=lambda: _port(send=_refuse_mail),
            clock=clock,
            headers=HeaderFactory(clock),
            each=map,
        )
        self._handlers = {name: handler(ports, outbox) for name, handler in HANDLERS.items()}

    def judge(self, service: str, letters: Sequence[DeadLetter]) -> list[Judged]:
        """Each of ``letters`` with its verdict, in their order.

        Raises nothing: a letter is `Kind.UNKNOWN` when a dependency does not answer.
        """
        verdicts = self._verdicts(service, dict.fromkeys(letter.message.body for letter in letters))
        return [Judged(letter, verdicts[letter.message.body]) for letter in letters]

    def _verdicts(self, service: str, bodies: Iterable[str]) -> dict[str, Verdict]:
        if service not in self._handlers:
            return dict.fromkeys(bodies, Verdict(Kind.UNKNOWN, f"{service} is not one of ShopFlow's own services"))
        consumes = self._outbox.catalog.services[service].consumes
        verdicts: dict[str, Verdict] = {}
        events: dict[str, Event] = {}
        for body in bodies:
            try:
                event = self._outbox.contracts.decode(body)
            except Exception as error:
                verdicts[body] = _failure(error)
                continue
            if event.event_type in consumes:
                events[body] = event
            else:
                verdicts[body] = Verdict(Kind.DONE, f"{event.event_type} does not belong here, and is acknowledged")
        for batch in _batches(events):
            judged = judge_events(self._handlers[service], list(batch.values()))
            verdicts |= dict(zip(batch, judged, strict=True))
        return verdicts


def _batches(events: Mapping[str, Event]) -> Iterator[dict[str, Event]]:
    """``events`` in batches of at most `MAX_EVENTS`. In a batch each order and event id is there once: a handler would
    skip the second.
    """
    while events:
        batch: dict[str, Event] = {}
        ids: set[str] = set()
        for body, event in events.items():
            if len(batch) < MAX_EVENTS and ids.isdisjoint({event.order_id, event.event_id}):
                batch[body] = event
                ids |= {event.order_id, event.event_id}
        yield batch
        events = {body: event for body, event in events.items() if body not in batch}


def judge_events(handler: Handler, events: Sequence[Event]) -> list[Verdict]:
    """The verdict on each of ``events``, all of different orders. ``handler`` is built over the ports of this module.

    When the handler raises, one event may be at fault: the batch is halved until that event is alone. Events that the
    handler did not get to are judged alone.
    """
    try:
        outcomes = handler.handle(events)
    except Exception as error:
        if len(events) > 1 and not isinstance(error, Unavailable):
            middle = len(events) // 2
            return judge_events(handler, events[:middle]) + judge_events(handler, events[middle:])
        outcomes = [Failed(error)] * len(events)
    verdicts = []
    for event, outcome in zip(events, outcomes, strict=True):
        refusal = outcome.error if isinstance(outcome, Failed) else None
        if isinstance(refusal, WouldAct) and event.order_id not in refusal.effects and len(events) > 1:
            verdicts += judge_events(handler, [event])
        else:
            verdicts.append(_verdict(event, outcome))
    return verdicts


def _verdict(event: Event, outcome: Outcome) -> Verdict:
    if isinstance(outcome, Done) or isinstance(outcome.error, HasEffect):
        return Verdict(Kind.DONE)
    if isinstance(outcome.error, WouldAct):
        return Verdict(Kind.READY, outcome.error.effects.get(event.order_id, str(outcome.error)))
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


def _refuse_commit(transitions: Sequence[Transition], stock: Mapping[str, int] | None = None) -> None:  # noqa: ARG001
    raise WouldAct({transition.before.order_id: _effect(transition) for transition in transitions})


def _refuse_each(transitions: Sequence[Transition]) -> dict[str, Exception]:
    return {one.before.order_id: WouldAct({one.before.order_id: _effect(one)}) for one in transitions}


def _effect(transition: Transition) -> str:
    outbox = transition.after.outbox
    if outbox is not None and outbox != transition.before.outbox:
        reason = f" ({transition.after.failure_reason})" if transition.after.failure_reason else ""
        return f"would publish {outbox.event_type}{reason}"
    return "would close the order" if transition.after.opened_at is None else "would clear its outbox"


def _refuse_insert(log: AuditLog, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:  # noqa: ARG001
    return {
        event.event_id: HasEffect("is recorded")
        if log.has(event.order_id, event.event_id)
        else WouldAct({event.order_id: f"would record {event.event_type}"})
        for event in events
    }


def _refuse_charge(idempotency_key: str, amount: Decimal, payment_method: str | None) -> None:  # noqa: ARG001
    raise WouldAct({idempotency_key: f"would charge ${amount}"})


def _refuse_mail(mail: Mail) -> None:
    raise WouldAct({mail.order_id: f"would notify the customer: {mail.subject}"})
