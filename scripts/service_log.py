"""The log lines of many processes in one stream: coloured text for people, JSON lines for machines."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, TextIO

from scripts.services import Command
from shopflow.catalog import Catalog, ServiceSpec
from shopflow.config import Config
from shopflow.log import JsonFormatter, TextFormatter

_COLOUR = re.compile(r"\x1b\[\d+m")


def wants_text(config: Config, stream: TextIO) -> bool:
    """Whether LOG_FORMAT, or else the kind of stream, asks for text."""
    return config.log_format == "text" or (config.log_format == "auto" and stream.isatty())


class ServiceLog:
    """Writes whole lines, each under the label of its process. The processes write JSON; this decides how it looks."""

    def __init__(
        self, commands: Iterable[Command], catalog: Catalog, stream: TextIO, *, text: bool, colour: bool
    ) -> None:
        self._stream = stream
        self._text = text
        self._colour = colour
        self._lock = threading.Lock()
        self._formatters = {
            command.label: _formatter(catalog.services[command.service], command.label, text) for command in commands
        }

    def line(self, label: str, line: str) -> None:
        """Pass on a line that a process wrote. One that is no log record (a traceback) is made one."""
        record = _parse(line)
        if record and not self._text:
            self._write(line)
        else:
            self._write(self._formatters[label].format(record or _record(line, logging.WARNING, time.time())))

    def say(self, label: str, text: str, level: int = logging.INFO) -> None:
        """Say something about a process in its name."""
        self._write(self._formatters[label].format(_record(text, level, time.time())))

    def _write(self, line: str) -> None:
        with self._lock:
            self._stream.write((line if self._colour else _COLOUR.sub("", line)) + "\n")
            self._stream.flush()


def _formatter(service: ServiceSpec, label: str, text: bool) -> logging.Formatter:
    if not text:
        return JsonFormatter(service.source)
    return TextFormatter(replace(service, title=label.replace(service.name, service.title)))


def _parse(line: str) -> logging.LogRecord | None:
    """The record that `JsonFormatter` wrote as ``line``; None when it is something else."""
    try:
        fields: dict[str, Any] = json.loads(line)
        created = datetime.fromisoformat(fields.pop("time")).timestamp()
        level = logging.getLevelNamesMapping()[fields.pop("level")]
        text = "\n".join(filter(None, (fields.pop("message"), fields.pop("exception", None))))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return _record(text, level, created, **fields)


def _record(text: str, level: int, created: float, **fields: Any) -> logging.LogRecord:
    facts = {"msg": text, "levelno": level, "levelname": logging.getLevelName(level), "created": created}
    return logging.makeLogRecord(fields | facts)
