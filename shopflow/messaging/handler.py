"""What a worker does with events, and what the handlers share.

An event is judged by the order as it stands, never by what the event says about it.
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
    """The event has had no effect that is known of."""

    error: Exception


Outcome = Done | Failed
PATIENCE_SECONDS = 15
"""A fraction of the visibility timeout: a call that goes unanswered takes 21 s more (`shopflow.aws.calls.PATIENT`)."""
Step = Callable[[Event, Order], Outcome]


class Handler(ABC):
    """What a worker does with events. Each may come more than once, and late; its effect is had once."""

    @abstractmethod
    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Process ``events``, all different. Returns one outcome for each, in their order.

        May raise instead: `Unavailable` for all of them; anything else makes the consumer try them one by one.
        """

    def published(self, events: Sequence[Outgoing]) -> None:  # noqa: B027 - most workers have nothing left to do
        """Called with those events of a batch that the topic accepted, before their causes are acknowledged.

        May raise `Unavailable`: then their causes are held and handled again.
        """


def attempt_each(attempt: Callable[[Event], Outcome], events: Sequence[Event], clock: Clock) -> list[Outcome]:
    """The outcome of ``attempt`` on each event, one after the other.

    When a dependency hangs instead of refusing, each call takes its whole time limit. So once one was unavailable and
    `PATIENCE_SECONDS` have passed, the rest are unavailable without being tried: ten in a row would take longer than
    the visibility timeout, and each message would be received again.
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


def attempt(step: Step, event: Event, orders: Mapping[str, Order]) -> Outcome:
    """The outcome of ``step`` on the event and its order. What it raises fails this event alone."""
    try:
        return step(event, subject_of(event, orders))
    except Exception as error:
        return Failed(error)


def subject_of(event: Event, orders: Mapping[str, Order]) -> Order:
    """The order that ``event`` speaks of, out of those just read.

    Raises `ContractBreach` when there is none, or when the event never happened to it: an order's event is committed
    before it is published, so no wait will make it true.
    """
    order = orders.get(event.order_id)
    if order is None:
        raise ContractBreach(f"correlationId: order {event.order_id} does not exist, or its row cannot be read")
    if event.event_type not in order.trail:
        raise ContractBreach(f"eventType: {event.event_type} never happened to {event.order_id} ({order.status})")
    return order
