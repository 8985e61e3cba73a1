"""What a service does with a batch of events, and what the handlers share.

A handler decides by the order as it is now, never by what the event says about it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shopflow.clock import Clock
from shopflow.domain.event import Event
from shopflow.domain.order import Order
from shopflow.errors import ContractBreach, Unavailable
from shopflow.ports import Outgoing


@dataclass(frozen=True, slots=True)
class Done:
    """The event has had its effect, now or earlier. ``publish``: the event that this delivery of it caused."""

    publish: Outgoing | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The event has had no effect, as far as is known."""

    error: Exception


Outcome = Done | Failed
PATIENCE_SECONDS = 15
"""A fraction of the visibility timeout: an unanswered call takes up to 21 s more (`shopflow.aws.calls.PATIENT`)."""


class Handler(ABC):
    """What a service does with events. An event may come more than once, and late; it has its effect once."""

    @abstractmethod
    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Process ``events``, all different. Returns one outcome for each, in the same order.

        May raise `Unavailable`, which counts for all of them. After any other error the consumer tries them one by one.
        """


def attempt_each(attempt: Callable[[Event], Outcome], events: Sequence[Event], clock: Clock) -> list[Outcome]:
    """The outcome of ``attempt`` on each event, one after another.

    A dependency that hangs costs each call its whole time limit. Ten such calls take longer than the visibility
    timeout, and then all ten messages are received again. So when one call was unavailable and `PATIENCE_SECONDS` have
    passed, the other events count as unavailable without a try.
    """
    started = clock.now_ms()
    outcomes: list[Outcome] = []
    hanging: Unavailable | None = None
    for event in events:
        is_late = hanging is not None and clock.now_ms() - started > PATIENCE_SECONDS * 1000
        outcome = Failed(hanging) if hanging is not None and is_late else attempt(event)
        if isinstance(outcome, Failed) and isinstance(outcome.error, Unavailable):
            hanging = outcome.error
        outcomes.append(outcome)
    return outcomes


def attempt(process: Callable[[Event, Order], Outcome], event: Event, orders: Mapping[str, Order]) -> Outcome:
    """The outcome of ``process`` on the event and its order. An error that it raises fails this event alone."""
    try:
        return process(event, subject_of(event, orders))
    except Exception as error:
        return Failed(error)


def subject_of(event: Event, orders: Mapping[str, Order]) -> Order:
    """The order that ``event`` is about, out of ``orders`` just read.

    Raises `ContractBreach` when there is no such order, or when the event never happened to it. Waiting would not help:
    an order is committed before its event is published.
    """
    order = orders.get(event.order_id)
    if order is None:
        raise ContractBreach(f"correlationId: order {event.order_id} does not exist, or its row cannot be read")
    if event.event_type not in order.trail:
        raise ContractBreach(f"eventType: {event.event_type} never happened to {event.order_id} ({order.status})")
    return order
