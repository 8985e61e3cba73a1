"""Moments are milliseconds since 1970 (UTC) inside, ISO 8601 text with milliseconds outside."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_text(moment_ms: int) -> str:
    """``1700000000123`` → ``2023-11-14T22:13:20.123Z``. The texts sort as the moments do."""
    text = (_EPOCH + timedelta(milliseconds=moment_ms)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def to_ms(text: str) -> int:
    """The inverse of `to_text`. Raises ``ValueError`` for any other text."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def after_cause(now_ms: int, cause_ms: int | None) -> int:
    """The time of an event: now, but at least 1 ms after its cause.

    So an order's events sort in causal order even when the clocks of the services differ.
    """
    return now_ms if cause_ms is None else max(now_ms, cause_ms + 1)
