"""Orders, products and events as DynamoDB items, and back.

Reading is strict about types. A row that was written by hand, with a text where a number belongs, is found here and not
by an error deep inside a service.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any, TypeVar

from shopflow.domain.event import Event, as_event_type, line_to_json
from shopflow.domain.money import money
from shopflow.domain.order import EventHeader, EventType, Line, Order, Status
from shopflow.domain.stock import Product
from shopflow.domain.times import to_ms, to_text
from shopflow.errors import MalformedRow
from shopflow.ports import AuditEntry

log = logging.getLogger(__name__)

T = TypeVar("T")
Item = Mapping[str, Any]
"""Attributes in DynamoDB's typed form: ``{"orderId": {"S": "ORD-…"}}``."""

_MONEY = frozenset({"totalAmount", "unitPrice", "lineTotal", "chargedAmount"})
_UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)


def readable(items: Iterable[Item], read: Callable[[Item], T], table: str, key: str) -> Iterator[T]:
    """``read`` of each item. An item that cannot be read is left out and logged, so that it never hurts the others."""
    for item in items:
        try:
            yield read(item)
        except _UNREADABLE as error:
            log.error("row left out, correct it: %s %s: %s", table, _name(item, key), _reason(error))


def all_readable(items: Iterable[Item], read: Callable[[Item], T], table: str, key: str) -> list[T]:
    """``read`` of each item. Raises `MalformedRow` naming those that cannot be read."""
    values, malformed = [], []
    for item in items:
        try:
            values.append(read(item))
        except _UNREADABLE:
            malformed.append(_name(item, key))
    if malformed:
        raise MalformedRow(table, frozenset(malformed))
    return values


def attribute_value(field: str, value: Any) -> dict[str, Any]:
    """The typed attribute value of one field of an order."""
    if field == "lines":
        return {"L": [_attribute(line_to_json(line)) for line in value]}
    if field in ("outbox", "superseded"):
        return _attribute(_header_to_json(value))
    if field.endswith("_at"):
        return {"S": to_text(value)}
    return _attribute(value)


def order_to_item(order: Order) -> dict[str, Any]:
    values = {field: getattr(order, field) for field in ATTRIBUTES}
    item = {ATTRIBUTES[name]: attribute_value(name, value) for name, value in values.items() if value is not None}
    return item | {"totalAmount": _attribute(order.total_amount)}


def order_from_item(item: Item) -> Order:
    there = (one for one in _FIELDS if one[1] in item or one[1] not in _OPTIONAL)
    return Order(**{field: read(item[attribute]) for field, attribute, read in there})


def product_to_item(product: Product) -> dict[str, Any]:
    """Raises ``ValueError`` for a product that could not be read back."""
    item = {
        "productId": {"S": product.product_id},
        "productName": {"S": product.product_name},
        "price": {"N": str(product.price)},
        "stock": {"N": str(product.stock)},
        "received": {"N": str(product.received)},
    }
    product_from_item(item)
    return item


def product_from_item(item: Item) -> Product:
    return Product(
        product_id=_text(item["productId"]),
        product_name=_text(item["productName"]),
        price=_amount(item["price"]),
        stock=_count(item["stock"]),
        received=_count(item["received"]),
    )


def audit_to_item(event: Event, stored_at: int) -> dict[str, Any]:
    item = {
        "orderId": {"S": event.order_id},
        "eventId": {"S": event.event_id},
        "eventType": {"S": str(event.event_type)},
        "version": {"S": event.version},
        "source": {"S": event.source},
        "payload": _attribute(event.payload),
        "recordedAt": {"S": to_text(event.time_ms)},
        "storedAt": {"S": to_text(stored_at)},
    }
    return item if event.causation_id is None else item | {"causationId": {"S": event.causation_id}}


def audit_from_item(item: Item) -> AuditEntry:
    order_id = _text(item["orderId"])
    event = Event(
        event_id=_text(item["eventId"]),
        event_type=as_event_type(_text(item["eventType"])),
        version=_text(item["version"]),
        time_ms=_moment(item["recordedAt"]),
        source=_text(item["source"]),
        correlation_id=order_id,
        causation_id=_optional(_text, item.get("causationId")),
        payload={name: _value(value, name) for name, value in item["payload"]["M"].items()},
    )
    return AuditEntry(event, _moment(item["storedAt"]))


def _attribute(value: Any) -> dict[str, Any]:
    """A JSON value in DynamoDB's typed form."""
    match value:
        case str():
            return {"S": str(value)}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case Mapping():
            return {"M": {name: _attribute(inner) for name, inner in value.items()}}
        case _:
            return {"L": [_attribute(inner) for inner in value]}


def _value(attribute: Item, name: str = "") -> Any:
    """The inverse of `_attribute`.

    DynamoDB drops trailing zeros: money gets its two decimals back here, and a count is an integer.
    """
    [(kind, value)] = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            number = Decimal(value)
            whole = name not in _MONEY and number == number.to_integral_value()
            return int(number) if whole else money(number) if name in _MONEY else number
        case "NULL":
            return None
        case "M":
            return {key: _value(inner, key) for key, inner in value.items()}
        case "L":
            return [_value(inner, name) for inner in value]
        case _:
            raise ValueError(f"{name}: a {kind} is not a JSON value")


def _text(attribute: Item) -> str:
    value = attribute["S"]
    if not isinstance(value, str) or not value:
        raise ValueError("an empty text")
    return value


def _moment(attribute: Item) -> int:
    """Strict about the form: a guard compares the text, and another text for the same moment would not match."""
    text = _text(attribute)
    moment_ms = to_ms(text)
    if to_text(moment_ms) != text:
        raise ValueError(f"{text} is not a time like {to_text(0)}")
    return moment_ms


def _amount(attribute: Item) -> Decimal:
    amount = money(attribute["N"])
    if amount < 0:
        raise ValueError(f"{amount} is not a price")
    return amount


def _count(attribute: Item) -> int:
    number = Decimal(attribute["N"])
    if number != number.to_integral_value():
        raise ValueError(f"{number} is not a number of units")
    return int(number)


def _lines(attribute: Item) -> tuple[Line, ...]:
    lines = tuple(_line(line["M"]) for line in attribute["L"])
    if not lines or len({line.product_id for line in lines}) < len(lines):
        raise ValueError("no line, or two lines of one product")
    return lines


def _line(values: Item) -> Line:
    quantity = _count(values["quantity"])
    if quantity < 1:
        raise ValueError(f"a line of {quantity} units")
    return Line(_text(values["productId"]), _text(values["productName"]), quantity, _amount(values["unitPrice"]))


def _header_to_json(header: EventHeader) -> dict[str, str]:
    plain = {
        "eventId": header.event_id,
        "eventType": str(header.event_type),
        "timestamp": to_text(header.time_ms),
    }
    optional = {"causationId": header.causation_id, "traceParent": header.trace_parent}
    return plain | {name: value for name, value in optional.items() if value}


def _header(attribute: Item) -> EventHeader:
    values = attribute["M"]
    return EventHeader(
        _text(values["eventId"]),
        EventType(_text(values["eventType"])),
        _moment(values["timestamp"]),
        _optional(_text, values.get("causationId")),
        _optional(_text, values.get("traceParent")),
    )


def _optional(read: Callable[[Item], T], attribute: Item | None) -> T | None:
    return None if attribute is None else read(attribute)


_FIELDS: tuple[tuple[str, str, Callable[[Item], Any]], ...] = (
    ("order_id", "orderId", _text),
    ("customer_id", "customerId", _text),
    ("lines", "items", _lines),
    ("created_at", "createdAt", _moment),
    ("updated_at", "updatedAt", _moment),
    ("status", "status", lambda attribute: Status(_text(attribute))),
    ("payment_method", "paymentMethod", _text),
    ("failure_reason", "failureReason", _text),
    ("transaction_id", "transactionId", _text),
    ("charged_amount", "chargedAmount", _amount),
    ("released_at", "releasedAt", _moment),
    ("notified_at", "notifiedAt", _moment),
    ("outbox", "outbox", _header),
    ("superseded", "superseded", _header),
    ("opened_at", "openedAt", _moment),
    ("idempotency_key", "idempotencyKey", _text),
    ("request_hash", "requestHash", _text),
    ("email", "email", _text),
)
"""Each field of an `Order` with its attribute, and how to read that."""
ATTRIBUTES: Mapping[str, str] = {field: attribute for field, attribute, _ in _FIELDS}
_OPTIONAL = {ATTRIBUTES[field.name] for field in fields(Order) if field.default is None}


def _name(item: Item, key: str) -> str:
    """The row's id for a person, of whatever type."""
    return str(next(iter(item.get(key, {}).values()), "without an id"))


def _reason(error: Exception) -> str:
    return f"{error} is missing or of another type" if isinstance(error, LookupError) else str(error)
