"""Orders, products and events as DynamoDB items, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from shopflow.domain.event import Event, as_event_type, line_from_json, line_to_json
from shopflow.domain.money import money
from shopflow.domain.order import EventHeader, EventType, Order, Status
from shopflow.domain.stock import Product
from shopflow.domain.times import to_ms, to_text
from shopflow.ports import AuditEntry

Item = dict[str, Any]
"""Attributes in DynamoDB's typed form: ``{"orderId": {"S": "ORD-…"}}``."""

ATTRIBUTES: Mapping[str, str] = {
    "order_id": "orderId",
    "customer_id": "customerId",
    "lines": "items",
    "created_at": "createdAt",
    "updated_at": "updatedAt",
    "status": "status",
    "payment_method": "paymentMethod",
    "failure_reason": "failureReason",
    "transaction_id": "transactionId",
    "charged_amount": "chargedAmount",
    "released_at": "releasedAt",
    "notified_at": "notifiedAt",
    "outbox": "outbox",
    "opened_at": "openedAt",
    "idempotency_key": "idempotencyKey",
    "request_hash": "requestHash",
}
"""The attribute of each field of an `Order`."""

_MONEY = frozenset({"totalAmount", "unitPrice", "lineTotal", "chargedAmount"})
_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def attribute_value(field: str, value: Any) -> dict[str, Any]:
    """The typed attribute value of one field of an order."""
    return dict(_serialize(_plain(field, value)))


def order_to_item(order: Order) -> Item:
    fields = {field: getattr(order, field) for field in ATTRIBUTES}
    item = {ATTRIBUTES[name]: attribute_value(name, value) for name, value in fields.items() if value is not None}
    return item | {"totalAmount": _serialize(order.total_amount)}


def order_from_item(item: Mapping[str, Any]) -> Order:
    plain = {name: _deserialize(value) for name, value in item.items()}
    return Order(
        order_id=plain["orderId"],
        customer_id=plain["customerId"],
        lines=tuple(line_from_json(line) for line in plain["items"]),
        created_at=to_ms(plain["createdAt"]),
        updated_at=to_ms(plain["updatedAt"]),
        status=Status(plain["status"]),
        payment_method=plain.get("paymentMethod"),
        failure_reason=plain.get("failureReason"),
        transaction_id=plain.get("transactionId"),
        charged_amount=_optional(money, plain.get("chargedAmount")),
        released_at=_optional(to_ms, plain.get("releasedAt")),
        notified_at=_optional(to_ms, plain.get("notifiedAt")),
        outbox=_optional(_header, plain.get("outbox")),
        opened_at=_optional(to_ms, plain.get("openedAt")),
        idempotency_key=plain.get("idempotencyKey"),
        request_hash=plain.get("requestHash"),
    )


def product_to_item(product: Product) -> Item:
    plain = {
        "productId": product.product_id,
        "productName": product.product_name,
        "price": product.price,
        "stock": product.stock,
        "received": product.received,
    }
    return {name: _serialize(value) for name, value in plain.items()}


def product_from_item(item: Mapping[str, Any]) -> Product:
    plain = {name: _deserialize(value) for name, value in item.items()}
    return Product(
        plain["productId"], plain["productName"], money(plain["price"]), int(plain["stock"]), int(plain["received"])
    )


def audit_to_item(event: Event, stored_at: int) -> Item:
    plain = {
        "orderId": event.order_id,
        "eventId": event.event_id,
        "eventType": str(event.event_type),
        "version": event.version,
        "source": event.source,
        "payload": event.payload,
        "recordedAt": to_text(event.time_ms),
        "storedAt": to_text(stored_at),
    }
    if event.causation_id is not None:
        plain["causationId"] = event.causation_id
    return {name: _serialize(value) for name, value in plain.items()}


def audit_from_item(item: Mapping[str, Any]) -> AuditEntry:
    plain = {name: _deserialize(value) for name, value in item.items()}
    event = Event(
        event_id=plain["eventId"],
        event_type=as_event_type(plain["eventType"]),
        version=plain["version"],
        time_ms=to_ms(plain["recordedAt"]),
        source=plain["source"],
        correlation_id=plain["orderId"],
        causation_id=plain.get("causationId"),
        payload=_restored(plain["payload"]),
    )
    return AuditEntry(event, to_ms(plain["storedAt"]))


def _plain(field: str, value: Any) -> Any:
    if field == "lines":
        return [line_to_json(line) for line in value]
    if field == "outbox":
        return _header_to_json(value)
    if field.endswith("_at"):
        return to_text(value)
    return str(value) if field == "status" else value


def _header_to_json(header: EventHeader) -> dict[str, str]:
    plain = {
        "eventId": header.event_id,
        "eventType": str(header.event_type),
        "timestamp": to_text(header.time_ms),
    }
    optional = {"causationId": header.causation_id, "traceParent": header.trace_parent}
    return plain | {name: value for name, value in optional.items() if value}


def _header(plain: Mapping[str, str]) -> EventHeader:
    return EventHeader(
        plain["eventId"],
        EventType(plain["eventType"]),
        to_ms(plain["timestamp"]),
        plain.get("causationId"),
        plain.get("traceParent"),
    )


def _restored(value: Any, name: str = "") -> Any:
    """DynamoDB keeps a number's value, not its look: give money its two decimals back, and counts their integer."""
    if isinstance(value, dict):
        return {key: _restored(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_restored(inner, name) for inner in value]
    if isinstance(value, Decimal):
        return money(value) if name in _MONEY else int(value) if value == value.to_integral_value() else value
    return value


def _optional(convert: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else convert(value)
