"""Who has a port is told by process and command, where the system tells it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shopflow import listeners
from shopflow.listeners import holder_of, taken

LISTEN = """import socket, sys
server = socket.create_server(('{host}', 0), family=socket.{family})
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=[("127.0.0.1", "AF_INET"), ("::1", "AF_INET6")], ids=["IPv4", "IPv6"])
def other(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Another program that listens: its port and process."""
    host, family = request.param
    command = [sys.executable, "-c", LISTEN.format(host=host, family=family)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.skip("this machine has no IPv6")
        yield int(line), process.pid
        process.kill()


def test_the_process_and_its_command_are_named(other: tuple[int, int]) -> None:
    port, pid = other
    found = holder_of(port)
    assert found
    assert found.startswith(f"process {pid} ({sys.executable} -c import socket")
    assert "\n" not in found


def test_lsof_is_asked_where_there_is_no_proc(other: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    port, pid = other
    if not shutil.which("lsof"):
        pytest.skip("lsof is not installed")
    monkeypatch.setattr(listeners, "PROC", Path("/nowhere"))
    assert str(holder_of(port)).startswith(f"process {pid} (")


def test_where_neither_can_tell_the_port_is_taken_all_the_same(
    other: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "PROC", Path("/nowhere"))
    monkeypatch.setenv("PATH", "/nowhere")
    assert holder_of(other[0]) is None
    assert taken(other[0]) == f"Port {other[0]} is taken by another program"


def test_a_long_command_with_control_characters_is_one_short_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = taken(server.getsockname()[1])
    assert f"process {os.getpid()} (" in found
    program = "import sys; sys.stdin.read() #" + "\n\x1b[31m" + "x" * 500
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        command = listeners.command_of(process.pid)
        process.kill()
    assert command
    assert len(command) <= listeners.MAX_COMMAND
    assert command.isprintable()


def test_a_port_that_nobody_listens_on_has_no_holder() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert holder_of(free.getsockname()[1]) is None
