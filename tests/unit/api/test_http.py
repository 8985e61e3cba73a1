"""HTTP/1.1 on raw sockets: framing, keep-alive, and clients that get it wrong."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http_message import HttpError
from api.http_parsing import MAX_HEADER_BYTES, MAX_HEADERS, MAX_REQUEST_LINE_BYTES, read_head
from tests.unit.api.shop import SAMPLE, Client, Shop, ask

ORDER = json.dumps(SAMPLE).encode()
BODY_LIMIT = 64 * 1024


@contextmanager
def talking(client: Client) -> Iterator[socket.socket]:
    with socket.create_connection(client.address, timeout=10) as connection:
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def exchange(client: Client, data: bytes) -> bytes:
    """What the server says to ``data`` before it closes; the client keeps its own side open."""
    with talking(client) as connection:
        connection.sendall(data)
        return until_closed(connection)


def statuses(data: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


def post(body: bytes = ORDER, *headers: str, length: str | None = None) -> bytes:
    lines = ["POST /orders HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    lines.append(f"Content-Length: {length or len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(path: str = "/health", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def test_a_connection_is_used_again_after_answers_and_errors(client: Client) -> None:
    connection = client.connect()
    ask(connection, "GET", "/health")
    used = connection.sock
    for method, path, body, status in [
        ("POST", "/orders", SAMPLE, 201),
        ("POST", "/orders", b"{", 400),
        ("GET", "/nowhere", None, 404),
        ("DELETE", "/orders", None, 405),
        ("HEAD", "/products", None, 200),
        ("OPTIONS", "/orders", None, 204),
        ("GET", "/health", b"a body that nobody asked for", 200),
        ("GET", "/health", None, 200),
    ]:
        assert ask(connection, method, path, body).status == status
        assert connection.sock is used
    connection.close()


def test_pipelined_requests_are_answered_in_turn(client: Client, shop: Shop) -> None:
    answer = exchange(client, post() + get("/nowhere") + post(ORDER, "Connection: close"))
    assert statuses(answer) == [201, 404, 201]
    assert len(shop.saved) == 2


def test_http_1_0_is_answered_and_closed(client: Client) -> None:
    assert statuses(exchange(client, b"GET /health HTTP/1.0\r\n\r\n")) == [200]


def test_an_absolute_target_is_understood(client: Client) -> None:
    answer = exchange(client, b"GET http://x/health?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert statuses(answer) == [200]


def test_options_star_is_answered(client: Client) -> None:
    assert statuses(exchange(client, b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == [204]


SMUGGLED = get("/products")
FATAL = {
    "no length": (b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n", 411),
    "chunked": (b"POST /orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    "chunked and length": (post(ORDER, "Transfer-Encoding: chunked"), 400),
    "two lengths": (post(ORDER, "Content-Length: 3"), 400),
    "the same length twice": (post(ORDER, f"Content-Length: {len(ORDER)}"), 400),
    "a list of lengths": (post(length="3, 3"), 400),
    "a signed length": (post(length="+3"), 400),
    "a negative length": (post(length="-3"), 400),
    "a fancy length": (post(length="1_0"), 400),
    "a hexadecimal length": (post(length="0x10"), 400),
    "a body too large": (post(length=str(BODY_LIMIT + 1)), 413),
    "a length beyond any number": (post(length="9" * 10_000), 413),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get("/", "Host: y"), 400),
    "a blank before the colon": (get("/", "Content-Length : 3"), 400),
    "a folded header": (get("/", "X: a\r\n b"), 400),
    "a bare CR": (get("/", "X: a\rContent-Length: 3"), 400),
    "a bare LF": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "a NUL": (get("/", "X: \0"), 400),
    "a line without a colon": (get("/", "nonsense"), 400),
    "HTTP/0.9": (b"GET /\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "no request": (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    "a relative target": (b"GET health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a long target": (get("/" + "a" * MAX_REQUEST_LINE_BYTES), 414),
    "a long header": (get("/", "X: " + "a" * MAX_HEADER_BYTES), 431),
    "many headers": (get("/", *["X: a"] * (MAX_HEADERS + 1)), 431),
    "an unknown expectation": (post(ORDER, "Expect: a miracle"), 417),
    "a text body": (post().replace(b"application/json", b"text/plain"), 415),
    "another charset": (post().replace(b"application/json", b"application/json; charset=latin-1"), 415),
    "no content type": (post().replace(b"Content-Type", b"X-Type"), 415),
}


@pytest.mark.parametrize("case", FATAL)
def test_what_cannot_be_framed_is_refused_and_nothing_after_it_is_taken_for_a_request(
    client: Client, shop: Shop, case: str
) -> None:
    data, status = FATAL[case]
    answer = exchange(client, data + SMUGGLED)
    assert statuses(answer) == [status]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    assert json.loads(body).keys() == {"error"}
    assert shop.saved == []


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON;charset=UTF-8", 'application/json; charset="utf-8"']
)
def test_json_is_recognised(client: Client, media_type: str) -> None:
    assert client.ask("POST", "/orders", ORDER, {"Content-Type": media_type}).status == 201


def test_the_largest_body_is_read(client: Client) -> None:
    padded = ORDER + b" " * (BODY_LIMIT - len(ORDER))
    assert client.ask("POST", "/orders", padded).status == 201
    assert client.ask("POST", "/orders", padded + b" ").status == 413


def test_a_client_that_is_still_sending_sees_why_it_is_refused(client: Client) -> None:
    body = b"x" * 3_000_000
    assert statuses(exchange(client, post(body))) == [413]


def test_the_go_ahead_is_given_only_for_a_body_that_will_be_read(client: Client) -> None:
    head, _, body = post(ORDER, "Expect: 100-continue", "Connection: close").partition(b"\r\n\r\n")
    with talking(client) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert statuses(until_closed(connection)) == [201]
    too_large = post(b"", "Expect: 100-continue", length=str(BODY_LIMIT + 1))
    assert statuses(exchange(client, too_large)) == [413]


def test_a_body_that_ends_too_soon_saves_nothing(client: Client, shop: Shop) -> None:
    with talking(client) as connection:
        connection.sendall(post()[:-5])
        connection.shutdown(socket.SHUT_WR)
        assert statuses(until_closed(connection)) == [400]
    assert shop.saved == []


def test_a_request_that_dribbles_in_is_read(client: Client) -> None:
    with talking(client) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get("/health", "Connection: close"):
            connection.sendall(bytes([byte]))
        assert statuses(until_closed(connection)) == [200]


def test_a_client_that_leaves_does_no_harm(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    for data in (b"", b"GET", post()[:-3], post()):
        with talking(client) as connection:
            connection.sendall(data)
            # Closing resets the connection: the server finds it broken at whatever it is about.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert client.get("/health").status == 200
    assert not [record for record in caplog.records if record.exc_info]


def test_the_access_log_tells_method_path_status_time_and_order(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="api"), closing(client.connect()) as connection:
        order_id = ask(connection, "POST", "/orders", SAMPLE).json["orderId"]
        ask(connection, "GET", "/nowhere")
        ask(connection, "GET", "/health")  # on one connection: by then the line of the request before it is written
    placed, missed = [record for record in caplog.records if record.name == "api.http_connection"][:2]
    assert re.fullmatch(r"POST /orders 201 \d+\.\d ms", placed.getMessage())
    assert placed.__dict__["orderId"] == order_id
    assert missed.getMessage().startswith("GET /nowhere 404 ")


@given(data=st.binary(max_size=400) | st.binary(max_size=100).map(lambda noise: get("/health", "X: y")[:-2] + noise))
def test_any_bytes_are_a_head_or_an_error(data: bytes) -> None:
    with contextlib.suppress(EOFError, HttpError):
        head = read_head(io.BytesIO(data).readline)
        assert head.path.startswith("/") or head.path == "*"
