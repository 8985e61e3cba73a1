"""Clients that take their answers slowly or not at all, and those that ask for many at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http import HTTPStatus

import pytest

from api.http_message import Endpoint, Request, Response
from api.http_server import BoundedServer, Connections
from tests.unit.api.shop import QUICK, Client, ask, eventually
from tests.unit.api.test_http import get, statuses, talking, until_closed

LARGE = b"x" * 8_000_000
"""More than the kernel takes for a client that does not read."""
PATIENT = replace(QUICK, write_seconds=60, receive_seconds=60, idle_seconds=60)


class Gated:
    """A stream of a large message, and of another one when the gate opens."""

    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate

    def __iter__(self) -> Iterator[bytes]:
        yield LARGE
        assert self._gate.wait(10)
        yield b"the end"

    def close(self) -> None:
        pass


class Desk:
    """An application with something large, a stream, and something that takes until the gate opens."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = 0

    def endpoint(self, method: str, path: str) -> Endpoint:
        return Endpoint({"/large": self._large, "/stream": self._stream, "/slow": self._slow}.get(path, self._quick))

    def _large(self, _: Request) -> Response:
        return Response(HTTPStatus.OK, LARGE)

    def _stream(self, _: Request) -> Response:
        return Response(HTTPStatus.OK, Gated(self.gate))

    def _slow(self, _: Request) -> Response:
        self.entered += 1
        assert self.gate.wait(10)
        return Response(HTTPStatus.OK, b"at last")

    def _quick(self, _: Request) -> Response:
        return Response(HTTPStatus.OK, b"quick")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@contextmanager
def serving(desk: Desk, connections: int, write_seconds: float = PATIENT.write_seconds) -> Iterator[Client]:
    limits = replace(PATIENT, connections=connections, write_seconds=write_seconds)
    server = BoundedServer("127.0.0.1", 0, desk, limits)
    server.start()
    try:
        yield Client(server)
    finally:
        desk.gate.set()
        server.stop()


def stalled(client: Client) -> int:
    """How many connections wait for their client to take something."""
    return list(client.server.connections._waiting.values()).count(socket.SHUT_RDWR)


def cut_off(connection: socket.socket) -> bool:
    """Whether it ends before all of the large answer has come."""
    try:
        return len(until_closed(connection)) < len(LARGE)
    except ConnectionResetError:
        return True


def test_clients_that_do_not_read_make_room_for_one_that_does(desk: Desk) -> None:
    with serving(desk, 2) as client, talking(client) as first, talking(client) as second:
        for number, deaf in enumerate((first, second), 1):
            deaf.sendall(get("/large"))
            eventually(lambda number=number: stalled(client) == number)  # type: ignore[misc]
        assert client.get("/").status == 200
        assert cut_off(first)


def test_who_takes_some_of_an_answer_begins_a_new_wait(desk: Desk) -> None:
    with serving(desk, 2) as client, talking(client) as slow, talking(client) as deaf:
        waiting = client.server.connections._waiting
        slow.sendall(get("/large"))
        eventually(lambda: stalled(client) == 1)
        longest = next(iter(waiting))
        deaf.sendall(get("/large"))
        eventually(lambda: stalled(client) == 2)
        eventually(lambda: len(slow.recv(65536)) > 0 and next(iter(waiting)) is not longest)


def test_the_one_that_has_taken_nothing_for_longest_goes_first() -> None:
    connections = Connections(2)
    with socket.socket() as slow, socket.socket() as deaf, socket.socket() as other:
        for each in (slow, deaf):
            assert connections.admit(each)
            connections.working(each)
        assert not connections.admit(other)
        for each in (slow, deaf, slow):
            assert connections.waiting(each, socket.SHUT_RDWR)
        assert connections.admit(other)
        assert connections.waiting(slow)
        assert not connections.waiting(deaf)


def test_an_answer_has_one_deadline_however_many_bytes_are_taken_now_and_then(desk: Desk) -> None:
    with serving(desk, 2, write_seconds=0.3) as client, talking(client) as slow:
        slow.sendall(get("/large"))

        def is_cut_off() -> bool:
            try:
                return not slow.recv(1000)
            except ConnectionResetError:
                return True

        eventually(is_cut_off)


def test_a_stream_whose_client_has_caught_up_is_not_displaced(desk: Desk) -> None:
    with serving(desk, 1) as client, talking(client) as watcher:
        watcher.sendall(get("/stream"))
        eventually(lambda: stalled(client) == 1)
        received = b""
        while len(received) < len(LARGE):
            received += watcher.recv(65536)
        eventually(lambda: stalled(client) == 0)
        assert client.get("/").status == 503
        desk.gate.set()
        assert until_closed(watcher).endswith(b"the end\r\n0\r\n\r\n")


def test_requests_that_are_sent_ahead_are_worked_on_one_at_a_time_and_hold_up_nobody_else(desk: Desk) -> None:
    with serving(desk, 8) as client, talking(client) as first, talking(client) as second:
        connections = client.server.connections
        first.sendall(get("/") + get("/slow", "Connection: close"))
        eventually(lambda: desk.entered == 1)
        second.sendall(get("/") + get("/slow", "Connection: close"))
        assert statuses(second.recv(1000)) == [200]
        eventually(lambda: len(connections._open) == 2 and len(connections._waiting) == 1)
        with closing(client.connect()) as other:
            assert [ask(other, "GET", "/").status for _ in range(3)] == [200] * 3
        assert desk.entered == 1
        desk.gate.set()
        assert statuses(until_closed(first)) == [200, 200]
        assert statuses(until_closed(second)) == [200]
        assert desk.entered == 2


def test_a_request_that_is_sent_ahead_in_part_holds_up_nobody(desk: Desk) -> None:
    with serving(desk, 8) as client, talking(client) as first, talking(client) as second:
        first.sendall(get("/") + b"GET / HT")
        assert statuses(first.recv(1000)) == [200]
        second.sendall(get("/") + get("/", "Connection: close"))
        assert statuses(until_closed(second)) == [200, 200]
        first.sendall(b"TP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert statuses(until_closed(first)) == [200]
