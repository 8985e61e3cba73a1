"""HTTP/1.1 on raw sockets: framing, keep-alive, and clients that get it wrong."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from api.http_message import MAX_HEADER_BYTES, MAX_HEADERS, MAX_REQUEST_LINE_BYTES
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


def chunked(
    body: bytes, end: bytes = b"\r\n", *, size: int = 7, extension: bytes = b"", framed: bytes | None = None
) -> bytes:
    """POST /orders with ``body`` in chunks of ``size``, and ``end`` after the last; or, of a body, ``framed`` as is."""
    lines = ["POST /orders HTTP/1.1", "Host: x", "Content-Type: application/json", "Transfer-Encoding: chunked", "", ""]
    if framed is None:
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        framed = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n" + end
    return "\r\n".join(lines).encode() + framed


NO_HOSTS = ("", "a b", "u@x", "http://x", "x/y", "x:80:80", "x:http", ":80", "[::1", "[:::]", "::1", "%4", "\xe4")
HOSTS = ("x", "x:80", "x:", "127.0.0.1:3000", "[::1]:3000", "my_shop-1.example.", "%6fx", "a'(b)!~")
SMUGGLED = get("/products")
FATAL = {
    "no length": (b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n", 411),
    "another transfer coding": (post(ORDER, "Transfer-Encoding: gzip"), 501),
    "chunked among others": (post(ORDER, "Transfer-Encoding: gzip, chunked"), 501),
    "chunked and length": (post(ORDER, "Transfer-Encoding: chunked"), 400),
    "chunked in HTTP/1.0": (chunked(ORDER).replace(b"HTTP/1.1", b"HTTP/1.0", 1), 400),
    "a chunk of a negative size": (chunked(b"", framed=b"-1\r\nx\r\n0\r\n\r\n"), 400),
    "a chunk of a fancy size": (chunked(b"", framed=b"0x1\r\nx\r\n0\r\n\r\n"), 400),
    "a chunk that is longer than said": (chunked(b"", framed=b"1\r\nxy\r\n0\r\n\r\n"), 400),
    "a chunk that ends in LF": (chunked(b"", framed=b"1\r\nx\n0\r\n\r\n"), 400),
    "a chunk size that ends in LF": (chunked(b"", framed=b"1\nx\r\n0\r\n\r\n"), 400),
    "a chunk of more digits than any has": (chunked(b"", framed=b"1" * 21 + b"\r\nx\r\n0\r\n\r\n"), 400),
    "trailers that end in LF": (chunked(ORDER, b"X: y\n\r\n"), 400),
    "no trailers that end in LF": (chunked(ORDER, b"\n"), 400),
    "chunks too large together": (chunked(b" " * (BODY_LIMIT + 1)), 413),
    "chunks that are hardly more than frames": (chunked(b" " * BODY_LIMIT, size=1), 413),
    "extensions larger than what they extend": (chunked(b" " * 100, size=1, extension=b";" + b"x" * 1000), 413),
    "endless trailers": (chunked(ORDER, b"X: y\r\n" * 20_000 + b"\r\n"), 413),
    "two lengths": (post(ORDER, "Content-Length: 3"), 400),
    "the same length twice": (post(ORDER, f"Content-Length: {len(ORDER)}"), 400),
    "a list of lengths": (post(length="3, 3"), 400),
    "a signed length": (post(length="+3"), 400),
    "a hexadecimal length": (post(length="0x10"), 400),
    "a body too large": (post(length=str(BODY_LIMIT + 1)), 413),
    "a length beyond any number": (post(length="9" * 10_000), 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get("/", "Host: y"), 400),
    **{f"a host that is {host!r}": (get().replace(b"Host: x", b"Host: " + host.encode()), 400) for host in NO_HOSTS},
    "a target with no host": (b"GET http:///health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a blank before the colon": (get("/", "Content-Length : 3"), 400),
    "a folded header": (get("/", "X: a\r\n b"), 400),
    "a bare CR": (get("/", "X: a\rContent-Length: 3"), 400),
    "a bare LF": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "a NUL": (get("/", "X: \0"), 400),
    "a line without a colon": (get("/", "nonsense"), 400),
    "HTTP/0.9": (b"GET /\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "a relative target": (b"GET health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a long target": (get("/" + "a" * MAX_REQUEST_LINE_BYTES), 414),
    "a long header": (get("/", "X: " + "a" * MAX_HEADER_BYTES), 431),
    "many headers": (get("/", *["X: a"] * (MAX_HEADERS + 1)), 431),
    "an unknown expectation": (post(ORDER, "Expect: a miracle"), 417),
    "a compressed body": (post(ORDER, "Content-Encoding: gzip"), 415),
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


def test_a_host_is_a_name_or_an_address_and_maybe_a_port(client: Client) -> None:
    for host in HOSTS:
        assert client.get("/health", {"Host": host}).status == 200, host


@pytest.mark.parametrize("size", [1, 7, BODY_LIMIT])
@pytest.mark.parametrize("end", [b"\r\n", b"X-Checksum: 7\r\nX: y\r\n\r\n"])
def test_a_body_in_chunks_is_read_and_its_connection_used_again(
    client: Client, shop: Shop, size: int, end: bytes
) -> None:
    answer = exchange(client, chunked(ORDER, end, size=size) + get("/health", "Connection: close"))
    assert statuses(answer) == [201, 200]
    assert len(shop.saved) == 1


def test_needless_encoding_of_a_path_makes_no_difference_and_other_encoding_stays(client: Client) -> None:
    for path in ("/%6Frders/%4f%52D-0000000%30", "/orders/ORD%2D00000000"):
        assert client.get(path).error == "Order not found: ORD-00000000"
    for path in ("/orders%2FORD-0", "/%6Frders%3F", "/%zz", "/%", "/%E4", "/static/%2e%2e/routes.py"):
        assert client.get(path).error.startswith("no such ")


def test_the_largest_body_is_read_and_a_client_that_sends_more_sees_why_it_is_refused(client: Client) -> None:
    assert client.ask("POST", "/orders", ORDER + b" " * (BODY_LIMIT - len(ORDER))).status == 201
    assert statuses(exchange(client, post(b"x" * 3_000_000))) == [413]


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


def test_a_client_that_leaves_does_no_harm(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    for data in (b"", b"GET", post()[:-3], post()):
        with talking(client) as connection:
            connection.sendall(data)
            # Closing resets the connection: the server finds it broken at whatever it is about.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert client.get("/health").status == 200
    assert not [record for record in caplog.records if record.exc_info]


def test_the_access_log_tells_client_method_path_status_time_and_order(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="api"), closing(client.connect()) as connection:
        order_id = ask(connection, "POST", "/orders", SAMPLE).json["orderId"]
        ask(connection, "GET", "/nowhere")
        ask(connection, "GET", "/health")  # on one connection: by then the line of the request before it is written
    placed, missed = [record for record in caplog.records if record.name == "api.http_message"][:2]
    assert re.fullmatch(r"127\.0\.0\.1 POST /orders 201 \d+\.\d ms", placed.getMessage())
    assert placed.__dict__["orderId"] == order_id
    assert missed.getMessage().startswith("127.0.0.1 GET /nowhere 404 ")
