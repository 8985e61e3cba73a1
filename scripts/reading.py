"""Rows that hold something else than they should: a command says which, in one line."""

from __future__ import annotations

from scripts.console import CommandError
from shopflow.ports import AuditEntry, AuditLog

UNREADABLE = (LookupError, ValueError, TypeError, ArithmeticError, AttributeError)
"""What comes of a value of another type, of a number in the place of a text, and of an attribute that is not there."""


def trail_of(audit: AuditLog, order_id: str) -> list[AuditEntry]:
    """The order's audit trail. Raises `CommandError` when an entry of it cannot be read."""
    try:
        return audit.trail(order_id)
    except UNREADABLE as error:
        reason = f"{type(error).__name__}: {error}"
        raise CommandError(f"An entry of {order_id} in the audit log cannot be read ({reason}).") from error
