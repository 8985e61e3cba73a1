"""What the handlers share: an event is judged by the order as it stands, never by what the event says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shopflow.domain.event import Event
from shopflow.domain.order import Order
from shopflow.errors import ContractBreach
from shopflow.messaging.consumer import Failed, Outcome

Step = Callable[[Event, Order], Outcome]


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
        raise ContractBreach(f"correlationId: order {event.order_id} does not exist")
    if event.event_type not in order.trail:
        raise ContractBreach(f"eventType: {event.event_type} never happened to {event.order_id} ({order.status})")
    return order
