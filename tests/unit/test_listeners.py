"""A message about a taken port names the process that has it, if the system says."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from shopflow import listeners
from shopflow.listeners import holder_of, taken

LISTEN = (
    """import socket, sys
server = socket.create_server(('{host}', 0), family=socket.{family})
print(server.getsockname()[1], flush=True)
sys.stdin.read() # \x1b[31m """
    + "x" * 100
)


@pytest.fixture(params=[("127.0.0.1", "AF_INET"), ("::1", "AF_INET6")], ids=["IPv4", "IPv6"])
def other(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Another program that listens: its port and process id."""
    host, family = request.param
    command = [sys.executable, "-c", LISTEN.format(host=host, family=family)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.skip("this machine has no IPv6")
        yield int(line), process.pid
        process.kill()


def test_the_process_and_its_command_are_named_in_one_short_line(other: tuple[int, int]) -> None:
    port, pid = other
    found = taken(port)
    assert found.startswith(f"Port {port} is taken by process {pid} ({sys.executable} -c import socket")
    assert found.isprintable()
    assert len(found) < 200


def test_lsof_is_asked_where_there_is_no_proc(other: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    port, pid = other
    if not shutil.which("lsof"):
        pytest.skip("lsof is not installed")
    monkeypatch.setattr(listeners, "_by_proc", lambda _: None)
    assert str(holder_of(port)).startswith(f"process {pid} (")


def test_the_port_is_taken_even_if_nobody_says_by_whom(other: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "_by_proc", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")
    assert taken(other[0]) == f"Port {other[0]} is taken by another program"


def test_a_free_port_has_no_holder() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert holder_of(free.getsockname()[1]) is None
