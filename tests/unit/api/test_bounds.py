"""Slow, idle, too many and too patient clients; and the way the server stops."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import pytest

from api.http_server import BoundedServer, Connections
from tests.unit.api.shop import QUICK, Client, Shop, ask, eventually, serving
from tests.unit.api.test_http import ORDER, get, post, statuses, talking, until_closed

SMALL = replace(QUICK, connections=8, receive_seconds=30)


@contextmanager
def many(client: Client, count: int, data: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections, each of which sends ``data`` and no more."""
    with ExitStack() as stack:
        connections = [stack.enter_context(talking(client)) for _ in range(count)]
        for connection in connections:
            connection.sendall(data)
        yield connections


@pytest.mark.parametrize("part", [b"G", get()[:-2], post()[:-1]])
def test_a_request_that_takes_too_long_is_a_408(client: Client, shop: Shop, part: bytes) -> None:
    with talking(client) as connection:
        connection.sendall(part)
        assert statuses(until_closed(connection)) == [408]
    assert shop.saved == []


def test_a_byte_now_and_then_does_not_extend_the_limit(client: Client) -> None:
    with talking(client) as connection:
        connection.settimeout(0.05)
        started = time.monotonic()
        answer = b""
        connection.sendall(b"GET /health HTTP/1.1\r\nX: ")
        while not answer:
            try:
                answer = connection.recv(1000)
            except TimeoutError:
                connection.sendall(b"y")
        assert statuses(answer) == [408]
        assert time.monotonic() - started < 5 * QUICK.receive_seconds


def test_an_idle_connection_is_closed_without_a_word(shop: Shop) -> None:
    with serving(shop, replace(QUICK, idle_seconds=0.2)) as server, talking(Client(server)) as connection:
        assert until_closed(connection) == b""


def test_a_client_that_does_not_read_is_given_up(shop: Shop) -> None:
    limits = replace(QUICK, write_seconds=0.3)
    with serving(shop, limits) as server, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.connect(Client(server).address)
        deaf.settimeout(0.2)
        with contextlib.suppress(OSError):  # the server stops reading, too
            deaf.sendall(get("/app.js") * 100_000)
        eventually(lambda: not server.connections._open)


@pytest.mark.parametrize("data", [b"", b"GET /slow HTTP/1.1\r\n", post()[:-1]])
def test_600_connections_that_send_nothing_more_lock_nobody_out(shop: Shop, data: bytes) -> None:
    limits = replace(QUICK, connections=512, idle_seconds=60, receive_seconds=60)
    with serving(shop, limits) as server:
        client = Client(server)
        with many(client, 600, data):
            assert client.post().status == 201
            assert len(server.connections._open) - len(server.connections._displaced) <= 512


def test_the_longest_waiting_connection_goes_first(shop: Shop) -> None:
    with serving(shop, SMALL) as server:
        client = Client(server)
        with many(client, 2) as (first, second), closing(client.connect()) as honest:
            ask(honest, "GET", "/health")
            with many(client, 6):
                assert until_closed(first) == b""
                with many(client, 1):
                    assert until_closed(second) == b""
                    assert ask(honest, "GET", "/health").status == 200


def test_a_displaced_client_that_has_begun_a_request_is_told(shop: Shop) -> None:
    with serving(shop, replace(SMALL, connections=1)) as server:
        client = Client(server)
        with many(client, 1, b"GET /") as (slow,):
            assert client.get("/health").status == 200
            assert statuses(until_closed(slow)) == [408]


def test_a_new_request_begins_a_new_wait() -> None:
    connections = Connections(2)
    with socket.socket() as first, socket.socket() as second, socket.socket() as third:
        assert all(connections.admit(each) for each in (first, second))
        assert connections.waiting(first)
        assert connections.admit(third)
        assert connections.waiting(first)
        assert not connections.waiting(second)


def test_a_request_being_answered_is_never_displaced(shop: Shop) -> None:
    gate = shop.orders.create_gate = threading.Event()
    limits = replace(SMALL, connections=2)
    with serving(shop, limits) as server:
        client = Client(server)
        with many(client, 2, post(ORDER, "Connection: close")) as busy:
            eventually(lambda: len(server.connections._open) == 2 and not server.connections._waiting)
            refused = client.get("/health")
            gate.set()
            assert [statuses(until_closed(connection)) for connection in busy] == [[201], [201]]
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "1"
        assert client.get("/health").status == 200


def test_displaced_connections_that_will_not_leave_are_bounded_too() -> None:
    connections = Connections(2)
    with ExitStack() as stack:
        ends = [stack.enter_context(socket.socket()) for _ in range(5)]
        assert [connections.admit(end) for end in ends] == [True, True, True, True, False]
        connections.leave(ends[0])
        assert connections.admit(ends[4])


def test_stopping_finishes_the_request_in_flight(shop: Shop) -> None:
    gate = shop.orders.create_gate = threading.Event()
    server = BoundedServer("127.0.0.1", 0, shop.parts.api, QUICK)
    server.start()
    client = Client(server)
    with many(client, 3) as idle, talking(client) as connection:
        connection.sendall(post())
        eventually(lambda: (len(server.connections._open), len(server.connections._waiting)) == (4, 3))
        stopped: list[bool] = []
        stopping = threading.Thread(target=lambda: stopped.append(server.stop()))
        stopping.start()
        for other in idle:
            assert until_closed(other) == b""
        gate.set()
        answer = until_closed(connection)
        stopping.join()
    assert statuses(answer) == [201]
    assert b"\r\nConnection: close" in answer
    assert stopped == [True]
    assert len(shop.saved) == 1


def test_stopping_does_not_wait_for_ever(shop: Shop) -> None:
    gate = shop.orders.create_gate = threading.Event()
    server = BoundedServer("127.0.0.1", 0, shop.parts.api, replace(QUICK, drain_seconds=0.1))
    server.start()
    with talking(Client(server)) as connection:
        connection.sendall(post())
        eventually(lambda: not server.connections._waiting and bool(server.connections._open))
        assert not server.stop()
        assert until_closed(connection) == b""
        gate.set()
        eventually(lambda: not server.connections._open)


def test_a_stopped_server_takes_no_more_connections(shop: Shop) -> None:
    with serving(shop) as server:
        address = Client(server).address
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
