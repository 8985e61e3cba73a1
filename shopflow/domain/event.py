"""Events: the envelope, the payload of each type, and replay: an order rebuilt from its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from shopflow.domain.money import money
from shopflow.domain.order import (
    TRANSITIONS,
    EventType,
    IllegalTransition,
    Line,
    Order,
)
from shopflow.domain.times import to_ms, to_text

Payload = Mapping[str, Any]

_EVENT_TYPES: Mapping[str, EventType] = {event_type.value: event_type for event_type in EventType}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an order. ``correlation_id`` is the order's id, ``payload`` its complete snapshot.

    ``event_type`` is an `EventType` for the events of the state machine, and any other text for another service's.
    ``trace_parent`` travels beside the event, not in it: the trace of the work that caused it (`shopflow.telemetry`).
    """

    event_id: str
    event_type: str
    version: str
    time_ms: int
    source: str
    correlation_id: str
    causation_id: str | None
    payload: Payload
    trace_parent: str | None = field(default=None, compare=False)

    @property
    def order_id(self) -> str:
        return self.correlation_id

    def to_json(self) -> dict[str, Any]:
        """The envelope as it goes over the wire (schemas/envelope.schema.json)."""
        return {
            "eventId": self.event_id,
            "eventType": str(self.event_type),
            "version": self.version,
            "timestamp": to_text(self.time_ms),
            "source": self.source,
            "correlationId": self.correlation_id,
            "causationId": self.causation_id,
            "payload": dict(self.payload),
        }

    @classmethod
    def from_json(cls, envelope: Mapping[str, Any]) -> Event:
        """The inverse of `to_json`, for an envelope that has passed its contract."""
        return cls(
            event_id=envelope["eventId"],
            event_type=as_event_type(envelope["eventType"]),
            version=envelope["version"],
            time_ms=to_ms(envelope["timestamp"]),
            source=envelope["source"],
            correlation_id=envelope["correlationId"],
            causation_id=envelope["causationId"],
            payload=envelope["payload"],
        )


def as_event_type(name: str) -> str:
    """The `EventType` of that name, or the name itself if it is not part of the state machine."""
    return _EVENT_TYPES.get(name, name)


def is_transition(event: Event) -> bool:
    """Whether the event is a transition of the order. Events that other services add are not."""
    return event.event_type in TRANSITIONS


def payload_of(order: Order, event_type: EventType) -> dict[str, Any]:
    """The order's snapshot right after the event, made of fields that no later transition changes.

    So the payload of every event of an order's trail can be rebuilt exactly, at any later time.
    """
    payload: dict[str, Any] = {
        "orderId": order.order_id,
        "customerId": order.customer_id,
        "status": str(TRANSITIONS[event_type].enters),
        "items": [line_to_json(line) for line in order.lines],
        "totalAmount": order.total_amount,
        "createdAt": to_text(order.created_at),
    }
    if order.payment_method is not None:
        payload["paymentMethod"] = order.payment_method
    if event_type is EventType.PAYMENT_PROCESSED:
        payload |= {"transactionId": order.transaction_id, "chargedAmount": order.charged_amount}
    if event_type in (EventType.INVENTORY_FAILED, EventType.PAYMENT_FAILED, EventType.INVENTORY_RELEASED):
        payload["failureReason"] = order.failure_reason
    return payload


def line_to_json(line: Line) -> dict[str, Any]:
    return {
        "productId": line.product_id,
        "productName": line.product_name,
        "quantity": line.quantity,
        "unitPrice": line.unit_price,
        "lineTotal": line.line_total,
    }


def line_from_json(item: Mapping[str, Any]) -> Line:
    return Line(item["productId"], item["productName"], int(item["quantity"]), money(item["unitPrice"]))


def replay(events: Iterable[Event]) -> Order | None:
    """The order after ``events``, which are in order; None without events. Other services' events change nothing.

    No event says that the customer was notified, so a COMPLETED order replays as PAYMENT_PROCESSED. Raises
    `IllegalTransition` when one event cannot follow another.
    """
    order: Order | None = None
    for event in filter(is_transition, events):
        order = _apply(order, event)
    return order


def _apply(order: Order | None, event: Event) -> Order:
    transition = TRANSITIONS[EventType(event.event_type)]
    if (order.status if order else None) is not transition.leaves:
        raise IllegalTransition(f"{event.order_id}: {event.event_type} does not follow {order and order.status}")
    if order is None:
        return _order_from(event)
    if order.released_at is not None:
        raise IllegalTransition(f"{event.order_id}: {event.event_type} comes after the release")
    payload = event.payload
    released = event.event_type is EventType.INVENTORY_RELEASED
    return replace(
        order,
        status=transition.enters,
        updated_at=event.time_ms,
        failure_reason=payload.get("failureReason"),
        transaction_id=payload.get("transactionId"),
        charged_amount=_optional_money(payload.get("chargedAmount")),
        released_at=event.time_ms if released else None,
    )


def _order_from(event: Event) -> Order:
    payload = event.payload
    return Order(
        order_id=payload["orderId"],
        customer_id=payload["customerId"],
        lines=tuple(line_from_json(item) for item in payload["items"]),
        created_at=to_ms(payload["createdAt"]),
        updated_at=event.time_ms,
        payment_method=payload.get("paymentMethod"),
    )


def _optional_money(value: Decimal | int | None) -> Decimal | None:
    return None if value is None else money(value)
