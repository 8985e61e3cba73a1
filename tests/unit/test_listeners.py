"""A message about a taken port names the process that has it, if the system says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shopflow import listeners
from shopflow.listeners import taken

LISTEN = (
    """import socket, sys
server = socket.create_server(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read() # \x1b[31m """
    + "x" * 100
)


@pytest.fixture
def other() -> Iterator[tuple[int, int]]:
    """Another program that listens: its port and process id."""
    command = [sys.executable, "-c", LISTEN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
        process.kill()


def test_the_process_and_its_command_are_named_in_one_short_line(other: tuple[int, int]) -> None:
    port, pid = other
    found = taken(port)
    assert found.startswith(f"Port {port} is taken by process {pid} ({sys.executable} -c import socket")
    assert found.isprintable()
    assert len(found) < 200


def test_the_port_is_taken_even_if_nobody_says_by_whom(other: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "_PROC", Path("/nowhere"))
    assert taken(other[0]) == f"Port {other[0]} is taken by another program"
