"""The client's side of the control socket of `make run-all`: one JSON line asks, one answers, or many after "watch"."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shopflow import jsontext
from shopflow.errors import Unavailable

SECONDS = 10
MAX_LINE_BYTES = 64 * 1024


def connected(path: Path, request: Mapping[str, Any]) -> socket.socket:
    """A connection that has sent ``request``. Raises `Unavailable` when nobody listens at ``path``."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SECONDS)
    try:
        connection.connect(str(path))
        connection.sendall(jsontext.dumps(request).encode() + b"\n")
    except OSError as error:
        connection.close()
        raise Unavailable(f"make run-all does not answer at {path}: {error}") from error
    return connection


def ask(path: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to ``request``; ``{"error": …}`` when it is refused. Raises `Unavailable`."""
    try:
        with connected(path, request) as connection, connection.makefile("rb") as lines:
            answer: dict[str, Any] = jsontext.loads(lines.readline())
    except (OSError, ValueError) as error:
        raise Unavailable(f"make run-all gave no answer at {path}: {error}") from error
    return answer
