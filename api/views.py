"""What clients see of orders, products and the audit trail: the public fields, and nothing of how they are stored."""

from __future__ import annotations

from typing import Any

from shopflow.domain.event import line_to_json
from shopflow.domain.order import Order
from shopflow.domain.stock import Product
from shopflow.domain.times import to_text
from shopflow.ports import AuditEntry


def order_view(order: Order) -> dict[str, Any]:
    """The full order record. Fields that the order does not have yet are left out."""
    optional = {
        "paymentMethod": order.payment_method,
        "failureReason": order.failure_reason,
        "transactionId": order.transaction_id,
        "chargedAmount": order.charged_amount,
        "notifiedAt": _moment(order.notified_at),
        "releasedAt": _moment(order.released_at),
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
    return {
        "message": "Order placed successfully",
        "orderId": order.order_id,
        "status": str(order.status),
        "totalAmount": order.total_amount,
        "items": [line_to_json(line) for line in order.lines],
    }


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


def _moment(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else to_text(moment_ms)
