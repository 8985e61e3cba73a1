"""Which process listens on a port of this machine, for a message to a person. It may be nobody's to know."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
MAX_COMMAND = 100
_LISTENS = "0A"
_SECONDS = 5


def taken(port: int) -> str:
    """The beginning of a message: that the port is taken, and by whom."""
    return f"Port {port} is taken by {holder_of(port) or 'another program'}"


def holder_of(port: int) -> str | None:
    """``process 4711 (python -m api)``; None when the system does not tell, as of another user's process."""
    pid = next(_by_proc(port), None) if (PROC / "net" / "tcp").exists() else _by_lsof(port)
    if pid is None:
        return None
    command = command_of(pid)
    return f"process {pid} ({command})" if command else f"process {pid}"


def command_of(pid: int) -> str | None:
    """Its command line as one line of up to `MAX_COMMAND` characters."""
    answer = _answer("ps", "-o", "args=", "-ww", "-p", str(pid))
    text = "".join(character if character.isprintable() else " " for character in answer)
    return " ".join(text.split())[:MAX_COMMAND] or None


def _by_proc(port: int) -> Iterator[int]:
    """Linux: the sockets that listen there, and who has one of them open."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _inodes(PROC / "net" / table, port)}
    for folder in PROC.glob("[0-9]*/fd") if sockets else ():
        if any(target in sockets for target in _open_files(folder)):
            yield int(folder.parent.name)


def _open_files(folder: Path) -> Iterator[str]:
    """What the files of a process are; nothing of one that has ended, or that is another user's."""
    with suppress(OSError):
        for file in folder.iterdir():
            with suppress(OSError):  # closed by now
                yield str(file.readlink())


def _inodes(table: Path, port: int) -> Iterator[str]:
    try:
        rows = table.read_text().splitlines()[1:]
    except OSError:
        return
    for row in rows:
        _, address, _, state, *rest = row.split()
        if state == _LISTENS and int(address.rpartition(":")[2], 16) == port:
            yield rest[5]


def _by_lsof(port: int) -> int | None:
    answer = _answer("lsof", "-nP", "-t", f"-iTCP:{port}", "-sTCP:LISTEN")
    return int(answer.split()[0]) if answer.split() else None


def _answer(program: str, *arguments: str) -> str:
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, errors="replace", timeout=_SECONDS)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
