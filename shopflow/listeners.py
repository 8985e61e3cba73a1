"""Names the process that listens on a port of this machine, for an error message."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

MAX_COMMAND = 100
_LISTENING = "0A"


def taken(port: int) -> str:
    """The beginning of a message: the port is taken, and by which process."""
    return f"Port {port} is taken by {holder_of(port) or 'another program'}"


def holder_of(port: int) -> str | None:
    """``process 4711 (python -m api)``; None when the system does not say, as for another user's process."""
    pid = _by_proc(port) or _output("lsof", "-nP", "-t", f"-iTCP:{port}", "-sTCP:LISTEN").partition("\n")[0]
    if not pid:
        return None
    command = _output("ps", "-o", "args=", "-ww", "-p", pid)
    printable = "".join(character if character.isprintable() else " " for character in command)
    return f"process {pid} ({' '.join(printable.split())[:MAX_COMMAND]})"


def _by_proc(port: int) -> str | None:
    """Linux: find the sockets that listen on the port, then the process that has one of them open."""
    sockets = set()
    for table in filter(Path.exists, (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))):
        for row in table.read_text().splitlines()[1:]:
            _, address, _, state, *more = row.split()
            if state == _LISTENING and int(address.rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{more[5]}]")
    for file in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        with suppress(OSError):  # the process has ended, or belongs to another user
            if str(file.readlink()) in sockets:
                return file.parts[2]
    return None


def _output(program: str, *arguments: str) -> str:
    """What ``program`` prints; empty when it is not installed or hangs."""
    path = shutil.which(program)
    with suppress(OSError, subprocess.TimeoutExpired):
        if path:
            command = [path, *arguments]
            return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=5).stdout  # noqa: S603
    return ""
