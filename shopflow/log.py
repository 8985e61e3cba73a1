"""Log lines: JSON for machines, coloured text on a terminal. Each names its service, and its order and event if any."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from shopflow import jsontext
from shopflow.catalog import ServiceSpec
from shopflow.domain.event import Event
from shopflow.ports import Outgoing

ANSI = {"cyan": 36, "green": 32, "yellow": 33, "magenta": 35, "blue": 34, "red": 31}
_FIELDS = ("orderId", "eventId", "eventType")


def about(
    event: Event | Outgoing | None = None, *, order_id: str | None = None, event_id: str | None = None
) -> dict[str, str]:
    """The ``extra`` of a log call: the event that the line is about, or its ids."""
    if event is not None:
        return {"orderId": event.order_id, "eventId": event.event_id, "eventType": str(event.event_type)}
    return {name: value for name, value in (("orderId", order_id), ("eventId", event_id)) if value}


def coloured(text: str, colour: str) -> str:
    return f"\x1b[{ANSI[colour]}m{text}\x1b[0m"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "service": self._service,
            **{name: value for name in _FIELDS if (value := getattr(record, name, None))},
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return jsontext.dumps(line)


class TextFormatter(logging.Formatter):
    """One line for a person, in the service's colour."""

    def __init__(self, service: ServiceSpec) -> None:
        super().__init__()
        self._label = coloured(f"{service.title:<12}", service.colour)

    def format(self, record: logging.LogRecord) -> str:
        order_id = getattr(record, "orderId", "")
        message = printable(record.getMessage())
        if record.levelno >= logging.WARNING:
            message = coloured(message, "red" if record.levelno >= logging.ERROR else "yellow")
        line = f"{_time(record):%H:%M:%S} {self._label} {order_id:<12} {message}"
        return f"{line}\n{printable(self.formatException(record.exc_info))}" if record.exc_info else line


def start_logging(service: ServiceSpec, log_format: str, stream: TextIO = sys.stdout) -> None:
    """Log to ``stream``, as ``json`` or ``text``; ``auto`` is text on a terminal and JSON elsewhere."""
    text = log_format == "text" or (log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter(service) if text else JsonFormatter(service.source))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    of_the_service = [service.module.partition(".")[0]] if service.module else []
    for package in ("shopflow", "workers", "api", *of_the_service):
        logging.getLogger(package).setLevel(logging.INFO)


def printable(text: str) -> str:
    """``text`` without terminal commands and characters that reorder a line: a client may have written it."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)
