"""Slow, idle, deaf and too many clients, those that send many requests at once, and how the server stops."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest

from api.http_message import Endpoint, Request, Response, Stream
from api.http_server import BoundedServer
from tests.unit.api.shop import QUICK, Client, ask
from tests.unit.api.test_http import get, post, statuses, talking, until_closed
from tests.waiting import eventually

PATIENT = replace(QUICK, connections=8, idle_seconds=60, receive_seconds=60, write_seconds=60)
LARGE = b"x" * 8_000_000
"""More than the kernel takes for a client that does not read."""
SLOW = get("/slow", "Connection: close")


class Desk:
    """An application with something large, a stream, and something that takes until the gate opens."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = 0

    def endpoint(self, method: str, path: str) -> Endpoint:
        def answer(_: Request) -> Response:
            if path == "/slow":
                self.entered += 1
                assert self.gate.wait(10)
            bodies: dict[str, bytes | Stream] = {"/large": LARGE, "/stream": self._stream()}
            return Response(HTTPStatus.OK, bodies.get(path, b"quick"))

        return Endpoint(answer)

    def _stream(self) -> Generator[bytes, None, None]:
        yield LARGE
        assert self.gate.wait(10)
        yield b"the end"


@pytest.fixture
def desk() -> Desk:
    return Desk()


@contextmanager
def serving(desk: Desk, **limits: Any) -> Iterator[Client]:
    server = BoundedServer("127.0.0.1", 0, desk.endpoint, replace(PATIENT, **limits))
    server.start()
    try:
        yield Client(server)
    finally:
        desk.gate.set()
        server.stop()


@contextmanager
def many(client: Client, count: int, data: bytes = b"") -> Iterator[list[socket.socket]]:
    """``count`` connections, each of which sends ``data`` and no more."""
    with ExitStack() as stack:
        connections = [stack.enter_context(talking(client)) for _ in range(count)]
        for connection in connections:
            connection.sendall(data)
        yield connections


def waiting(client: Client, side: int | None = None) -> int:
    """How many connections wait for their client, or of those how many to send (SHUT_RD) or to read (SHUT_RDWR)."""
    sides = list(client.server.connections._waiting.values())
    return len(sides) if side is None else sides.count(side)


def is_open(client: Client) -> int:
    return len(client.server.connections._open)


def test_a_request_that_takes_too_long_is_a_408_however_it_arrives(desk: Desk) -> None:
    with serving(desk, receive_seconds=0.3) as client:
        for part in (b"G", get()[:-2], post()[:-1]):
            with talking(client) as connection:
                connection.sendall(part)
                assert statuses(until_closed(connection)) == [408]
        with talking(client) as connection:
            connection.settimeout(0.05)
            started, answer = time.monotonic(), b""
            connection.sendall(b"GET /health HTTP/1.1\r\nX: ")
            while not answer:
                try:
                    answer = connection.recv(1000)
                except TimeoutError:
                    connection.sendall(b"y")
            assert statuses(answer) == [408]
            assert time.monotonic() - started < 3


def test_an_idle_connection_is_closed_without_a_word(desk: Desk) -> None:
    with serving(desk, idle_seconds=0.2) as client, talking(client) as connection:
        assert until_closed(connection) == b""


def test_a_displaced_client_that_has_begun_a_request_gets_a_408(desk: Desk) -> None:
    with serving(desk, connections=1) as client, many(client, 1, b"GET /") as (slow,):
        assert client.get("/").status == 200
        assert statuses(until_closed(slow)) == [408]


def test_when_every_connection_is_worked_for_a_new_one_gets_a_503(desk: Desk) -> None:
    with serving(desk, connections=2) as client, many(client, 2, SLOW) as busy:
        eventually(lambda: is_open(client) == 2 and not waiting(client))
        refused = client.get("/")
        desk.gate.set()
        assert [statuses(until_closed(connection)) for connection in busy] == [[200], [200]]
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert client.get("/").status == 200


def test_stopping_finishes_the_request_in_flight_and_takes_no_more_connections(desk: Desk) -> None:
    with serving(desk) as client, many(client, 3) as idle, talking(client) as connection:
        connection.sendall(get("/slow"))
        eventually(lambda: (is_open(client), waiting(client)) == (4, 3))
        stopped: list[bool] = []
        stopping = threading.Thread(target=lambda: stopped.append(client.server.stop()))
        stopping.start()
        assert [until_closed(other) for other in idle] == [b""] * 3
        desk.gate.set()
        answer = until_closed(connection)
        stopping.join()
        assert (statuses(answer), stopped) == ([200], [True])
        assert b"\r\nConnection: close" in answer
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(client.address, timeout=5)


def test_stopping_does_not_wait_for_ever(desk: Desk) -> None:
    with serving(desk, drain_seconds=0.1) as client, talking(client) as connection:
        connection.sendall(SLOW)
        eventually(lambda: is_open(client) == 1 and not waiting(client))
        assert not client.server.stop()
        assert until_closed(connection) == b""
        desk.gate.set()
        eventually(lambda: not is_open(client))


def test_clients_that_do_not_read_make_room_for_one_that_does(desk: Desk) -> None:
    with serving(desk, connections=2) as client, talking(client) as first, talking(client) as second:
        first.sendall(get("/large"))
        eventually(lambda: waiting(client, socket.SHUT_RDWR) == 1)
        second.sendall(get("/large"))
        eventually(lambda: waiting(client, socket.SHUT_RDWR) == 2)
        assert client.get("/").status == 200
        # Which one depends on the system: what its buffers take late counts as read.
        eventually(lambda: waiting(client, socket.SHUT_RDWR) == 1)


def test_an_answer_has_one_deadline_however_many_bytes_are_taken_now_and_then(desk: Desk) -> None:
    with serving(desk, write_seconds=0.3) as client, talking(client) as slow:
        slow.sendall(get("/large"))

        def is_cut_off() -> bool:
            try:
                return not slow.recv(1000)
            except ConnectionResetError:
                return True

        eventually(is_cut_off)


def test_a_stream_whose_client_has_caught_up_is_not_displaced(desk: Desk) -> None:
    with serving(desk, connections=1) as client, talking(client) as watcher:
        watcher.sendall(get("/stream"))
        eventually(lambda: waiting(client, socket.SHUT_RDWR) == 1)
        received = b""
        while len(received) < len(LARGE):
            received += watcher.recv(65536)
        eventually(lambda: waiting(client, socket.SHUT_RDWR) == 0)
        assert client.get("/").status == 503
        desk.gate.set()
        assert until_closed(watcher).endswith(b"the end\r\n0\r\n\r\n")


def test_pipelined_requests_are_processed_one_at_a_time_and_hold_up_nobody_else(desk: Desk) -> None:
    with serving(desk) as client, talking(client) as first, talking(client) as second:
        first.sendall(get("/") + SLOW)
        eventually(lambda: desk.entered == 1)
        second.sendall(get("/") + SLOW)
        assert statuses(second.recv(1000)) == [200]
        eventually(lambda: (is_open(client), waiting(client)) == (2, 1))
        with closing(client.connect()) as other:
            assert [ask(other, "GET", "/").status for _ in range(3)] == [200] * 3
        assert desk.entered == 1
        desk.gate.set()
        assert statuses(until_closed(first)) == [200, 200]
        assert statuses(until_closed(second)) == [200]
        assert desk.entered == 2


def test_a_pipelined_request_that_arrives_in_part_holds_up_nobody(desk: Desk) -> None:
    with serving(desk) as client, talking(client) as first, talking(client) as second:
        first.sendall(get("/") + b"GET / HT")
        assert statuses(first.recv(1000)) == [200]
        second.sendall(get("/") + get("/", "Connection: close"))
        assert statuses(until_closed(second)) == [200, 200]
        first.sendall(b"TP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert statuses(until_closed(first)) == [200]
