"""What clients see of orders, products and the audit trail: the public fields, and nothing about their storage."""

from __future__ import annotations

from typing import Any

from shopflow.catalog import Catalog
from shopflow.domain.event import line_to_json
from shopflow.domain.mail import mail_text
from shopflow.domain.order import Order
from shopflow.domain.stock import Product
from shopflow.domain.times import to_text
from shopflow.ports import AuditEntry, Backlog


def order_view(order: Order) -> dict[str, Any]:
    """The full order record. Fields that the order does not have yet are left out."""
    optional = {
        "paymentMethod": order.payment_method,
        "failureReason": order.failure_reason,
        "transactionId": order.transaction_id,
        "chargedAmount": order.charged_amount,
        "notifiedAt": _moment(order.notified_at),
        "releasedAt": _moment(order.released_at),
        "notification": _notification(order),
    }
    return {
        "orderId": order.order_id,
        "customerId": order.customer_id,
        "status": str(order.status),
        "items": [line_to_json(line) for line in order.lines],
        "totalAmount": order.total_amount,
        "createdAt": to_text(order.created_at),
        "updatedAt": to_text(max(order.updated_at, order.notified_at or 0)),
    } | {name: value for name, value in optional.items() if value is not None}


def placed_view(order: Order) -> dict[str, Any]:
    """The answer to ``POST /orders``."""
    view = order_view(order)
    names = ("orderId", "status", "totalAmount", "items")
    return {"message": "Order placed successfully"} | {name: view[name] for name in names}


def product_view(product: Product) -> dict[str, Any]:
    return {
        "productId": product.product_id,
        "productName": product.product_name,
        "price": product.price,
        "stock": product.stock,
    }


def audit_view(entry: AuditEntry) -> dict[str, Any]:
    """An audit entry: ``recordedAt`` is when the event was published, ``storedAt`` when it was written to the log."""
    event = entry.event
    return {
        "orderId": event.order_id,
        "eventId": event.event_id,
        "eventType": str(event.event_type),
        "payload": dict(event.payload),
        "recordedAt": to_text(event.time_ms),
        "storedAt": to_text(entry.stored_at),
        "version": event.version,
        "source": event.source,
        "causationId": event.causation_id,
    }


def stream_event_view(entry: AuditEntry) -> dict[str, Any]:
    """An audit entry as a message of an order's stream."""
    view = audit_view(entry)
    return {"type": "audit"} | {name: view[name] for name in ("eventId", "eventType", "recordedAt")}


def status_view(order: Order) -> dict[str, Any]:
    """An order's status as a message of its stream and of the flow."""
    return {"type": "status", "orderId": order.order_id, "status": str(order.status)}


def flow_event_view(entry: AuditEntry) -> dict[str, Any]:
    """An audit entry as a message of the flow."""
    view = audit_view(entry)
    names = ("orderId", "eventId", "eventType", "source", "causationId", "recordedAt")
    return {"type": "event"} | {name: view[name] for name in names}


def backlog_view(backlog: Backlog) -> dict[str, int]:
    """One service's messages. A dead letter that is in flight, because somebody inspects it, still counts."""
    return {
        "waiting": backlog.queue.waiting,
        "inFlight": backlog.queue.in_flight,
        "deadLetters": backlog.dead_letters.total,
    }


def catalog_view(catalog: Catalog) -> dict[str, Any]:
    """Which service produces and consumes which events, in the catalogue's order."""
    return {
        "events": {
            str(name): {"producer": spec.producer, "version": spec.version, "status": spec.status and str(spec.status)}
            for name, spec in catalog.events.items()
        },
        "services": {
            name: {
                "title": service.title,
                "colour": service.colour,
                "consumes": [str(event) for event in catalog.events if event in service.consumes],
            }
            for name, service in catalog.services.items()
        },
    }


def _notification(order: Order) -> dict[str, str] | None:
    if order.notified_at is None:
        return None
    message = mail_text(order)
    return {"subject": message.subject, "text": message.text}


def _moment(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else to_text(moment_ms)
