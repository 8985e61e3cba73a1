"""Names the process that listens on a port of this machine, for an error message."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

MAX_COMMAND = 100
_LISTENING = "0A"
_PROC = Path("/proc")


def taken(port: int) -> str:
    """The beginning of a message: the port is taken, and by which process."""
    return f"Port {port} is taken by {holder_of(port) or 'another program'}"


def holder_of(port: int) -> str | None:
    """``process 4711 (python -m api)``; None for another user's process, or where there is no /proc (macOS)."""
    sockets = set()
    for table in filter(Path.exists, (_PROC / "net/tcp", _PROC / "net/tcp6")):
        for row in table.read_text().splitlines()[1:]:
            _, address, _, state, *more = row.split()
            if state == _LISTENING and int(address.rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{more[5]}]")
    for file in _PROC.glob("[0-9]*/fd/*") if sockets else ():
        with suppress(OSError):  # the process has ended, or belongs to another user
            if str(file.readlink()) in sockets:
                command = (file.parents[1] / "cmdline").read_text(errors="replace")
                printable = "".join(character if character.isprintable() else " " for character in command)
                return f"process {file.parts[2]} ({' '.join(printable.split())[:MAX_COMMAND]})"
    return None
