"""A bounded HTTP/1.1 server: one thread per connection, a limit on everything. h11 parses and frames."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import struct
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

import h11

from api.http_message import (
    MAX_BODY_BYTES,
    MAX_FRAMING_BYTES,
    MAX_HEAD_BYTES,
    Application,
    Endpoint,
    Head,
    HttpError,
    Request,
    Response,
    body_too_large,
    check_body_announced,
    check_expectation,
    check_json,
    check_length,
    headers_of,
    is_chunked,
    log_access,
    malformed,
    parse_head,
    too_much_framing,
)

log = logging.getLogger(__name__)

LISTEN_BACKLOG = 512
RECEIVE_BYTES = 16 * 1024
SEND_BUFFER_BYTES = 64 * 1024
"""How much of an unread answer the kernel may keep (Linux doubles it): hundreds of clients may leave one unread."""
ACCEPT_RETRY_SECONDS = 0.05
_WITHOUT_CONTENT = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_HANG_UP = getattr(select, "POLLRDHUP", 0)
"""The client has closed its side (Linux only). Elsewhere we notice only a full close, which poll always reports."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may use.

    ``receive_seconds`` covers a whole request and ``write_seconds`` a whole answer or one message of a stream.
    ``linger_seconds`` is how long we still read from a refused client. ``poll_seconds`` is how soon the accepting
    thread notices `BoundedServer.stop`.
    """

    connections: int = 512
    body_bytes: int = MAX_BODY_BYTES
    idle_seconds: float = 30.0
    receive_seconds: float = 10.0
    write_seconds: float = 10.0
    linger_seconds: float = 2.0
    drain_seconds: float = 10.0
    poll_seconds: float = 0.1


class Connections:
    """The open connections. When they are full, a new one displaces the one that has waited longest for its client.

    So idle connections, slow senders and clients that do not read cannot lock anybody out. A request counts as one
    wait, however often a byte of it arrives. An answer starts a new wait whenever the client takes some of it. A
    connection whose request is being processed is never displaced.

    To end a connection we shut down its socket. If only the receiving side is shut down, the thread reads what has
    arrived, then the end of the input, and can still answer. With both sides shut down it can do nothing more.
    """

    def __init__(self, max_open: int) -> None:
        self._max_open = max_open
        self._open: set[socket.socket] = set()
        self._waiting: dict[socket.socket, int] = {}  # the side to shut down; the longest wait first
        self._displaced: set[socket.socket] = set()
        self._changed = threading.Condition()

    def admit(self, connection: socket.socket) -> bool:
        """Add ``connection``, which now waits for its client. False: there is no room."""
        with self._changed:
            full = len(self._open) - len(self._displaced) >= self._max_open
            # Displaced connections are about to leave. The second bound is for a machine that closes them too slowly.
            if (full and not self._displace_oldest()) or len(self._open) >= 2 * self._max_open:
                return False
            self._open.add(connection)
            self._waiting[connection] = socket.SHUT_RD
            return True

    def waiting(self, connection: socket.socket, side: int = socket.SHUT_RD) -> bool:
        """``connection`` waits from now on for its client: to send, or (SHUT_RDWR) to read. False: it was displaced."""
        with self._changed:
            self._waiting.pop(connection, None)
            if connection in self._displaced:
                return False
            self._waiting[connection] = side
            return True

    def working(self, connection: socket.socket) -> None:
        """``connection`` waits for us: its request is complete, or its client has taken all that we sent."""
        with self._changed:
            self._waiting.pop(connection, None)

    def leave(self, connection: socket.socket) -> None:
        """Remove ``connection``. Call this before closing it."""
        with self._changed:
            self._waiting.pop(connection, None)
            self._displaced.discard(connection)
            self._open.discard(connection)
            self._changed.notify_all()

    def displace_oldest(self) -> bool:
        """End the connection that has waited longest for its client. False: none waits."""
        with self._changed:
            return self._displace_oldest()

    def drain(self, within_seconds: float) -> bool:
        """End all connections: idle ones now, the others after their answer. After the limit, cut the rest off.

        Returns whether all ended within the limit.
        """
        with self._changed:
            for connection in self._open:
                _shut_down(connection, socket.SHUT_RD)
            drained = self._changed.wait_for(lambda: not self._open, within_seconds)
            for connection in self._open:
                _shut_down(connection, socket.SHUT_RDWR)
            return drained

    def _displace_oldest(self) -> bool:
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        self._displaced.add(oldest)
        _shut_down(oldest, self._waiting.pop(oldest))
        return True


class BoundedServer:
    """Serves ``application`` at ``host:port`` (port 0: any free port) within ``limits``.

    Raises ``OSError`` when it cannot bind the address.
    """

    def __init__(self, host: str, port: int, application: Application, limits: Limits | None = None) -> None:
        self.application = application
        self.limits = limits or Limits()
        self.connections = Connections(self.limits.connections)
        self.pipeline_turn = threading.Lock()
        """Held while the server processes a pipelined request, so that it processes one of those at a time. Without
        it, 700 clients that pipeline 40 requests each make everybody else wait for over a second."""
        self.stopping = False
        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((host, port))
            self._listener.listen(LISTEN_BACKLOG)
        except OSError:
            self._listener.close()
            raise
        self._listener.settimeout(self.limits.poll_seconds)
        self._host, self.port = self._listener.getsockname()[:2]
        self._accepting = threading.Thread(target=self._accept, name="accept", daemon=True)

    @property
    def url(self) -> str:
        return f"http://[{self._host}]:{self.port}" if ":" in self._host else f"http://{self._host}:{self.port}"

    def start(self) -> None:
        """Accept connections, in a thread."""
        self._accepting.start()

    def stop(self) -> bool:
        """Accept nothing more, finish the requests in flight, close all. Whether all ended within the limit."""
        self.stopping = True
        self._accepting.join()
        self._listener.close()
        return self.connections.drain(self.limits.drain_seconds)

    def _accept(self) -> None:
        while not self.stopping:
            try:
                client, address = self._listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                # Most likely out of file descriptors: make room, and do not retry at full speed.
                log.warning("cannot accept a connection: %s", error)
                self.connections.displace_oldest()
                time.sleep(ACCEPT_RETRY_SECONDS)
                continue
            if self.connections.admit(client):
                self._start_thread(client, address[0])
            else:
                _refuse(client)

    def _start_thread(self, client: socket.socket, address: str) -> None:
        try:
            threading.Thread(target=self._serve, args=(client, address), name="connection", daemon=True).start()
        except RuntimeError:  # the system has no thread left
            log.exception("cannot serve a connection")
            self._close(client)

    def _serve(self, client: socket.socket, address: str) -> None:
        try:
            Connection(self, client, address).serve()
        except Exception:
            log.exception("a connection failed")
        finally:
            self._close(client)

    def _close(self, client: socket.socket) -> None:
        self.connections.leave(client)
        client.close()


class Connection:
    """One client's connection: requests in, responses out, one after the other."""

    def __init__(self, server: BoundedServer, client: socket.socket, address: str) -> None:
        self._server = server
        self._limits = server.limits
        self._socket = client
        self._address = address
        self._head: Head | None = None
        self._bodiless = False  # the response to HEAD has no body
        self._received = bytearray()  # all bytes of the current request
        self._pipelined = b""  # what arrived together with it: the beginning of the next request
        self._turn = ExitStack()  # holds the server's pipeline_turn, if at all, until we wait for the client
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def serve(self) -> None:
        """Answer requests until the client or the server ends the connection."""
        with contextlib.suppress(OSError), self._turn:  # OSError: the client has gone, or does not take its answer
            while self._request_begins():
                started = time.monotonic()
                response = self._respond()
                try:
                    self._send(response)
                finally:
                    log_access(self._address, self._head, response, time.monotonic() - started)
                self._turn.close()
                if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                    self._linger()
                    return
                self._pipelined = self._http.trailing_data[0]

    def _request_begins(self) -> bool:
        """Wait for the first byte of a request. False: the client or the server has ended the connection."""
        self._http = h11.Connection(h11.SERVER, MAX_HEAD_BYTES)
        self._head, self._bodiless = None, False
        if self._pipelined and not self._take_turn():
            return False
        # If it is displaced by now, the reads below find what had arrived, and then the end of the input.
        self._wait_for_client(self._limits.idle_seconds)
        received = self._pipelined
        # RFC 9112 2.2: a client may send an extra empty line after a body.
        while not (received := received.removeprefix(b"\r\n")):
            try:
                received = self._receive()
            except TimeoutError:
                return False
            if not received:
                return False
        self._received = bytearray(received)
        self._http.receive_data(received)
        return True

    def _take_turn(self) -> bool:
        """Wait until the server processes no other pipelined request. False: displaced meanwhile."""
        self._wait_for_client(self._limits.idle_seconds)
        self._turn.enter_context(self._server.pipeline_turn)
        return self._wait_for_client(self._limits.idle_seconds)

    def _respond(self) -> Response:
        """Read the request and have it answered. Sets ``_close_after``: whether the connection must end then."""
        self._close_after = True
        try:
            self._wait_for_client(self._limits.receive_seconds)
            head = self._read_head()
            endpoint = self._endpoint(head)
            body = self._read_body(head)
        except h11.RemoteProtocolError as error:
            return malformed(error, self._head, bytes(self._received)).response
        except HttpError as error:
            return error.response
        except TimeoutError:
            return _too_late()
        except EOFError as error:
            if self._server.stopping or not self._server.connections.waiting(self._socket):
                return _too_late()
            return HttpError(HTTPStatus.BAD_REQUEST, str(error)).response
        self._server.connections.working(self._socket)
        response = endpoint.answer(Request(head, body, self._hung_up))
        self._close_after = not isinstance(response.body, bytes)
        return response

    def _read_head(self) -> Head:
        while not isinstance(event := self._http.next_event(), h11.Request):
            self._receive_more()
        self._bodiless = event.method == b"HEAD"
        self._head_bytes = len(self._received) - len(self._http.trailing_data[0])
        self._head = parse_head(event, bytes(self._received[: self._head_bytes]))
        check_length(self._head, self._limits.body_bytes)
        return self._head

    def _endpoint(self, head: Head) -> Endpoint:
        try:
            endpoint = self._server.application.endpoint(head.method, head.path)
            check_expectation(head)
            if endpoint.takes_json:
                check_body_announced(head)
                check_json(head)
        except HttpError as error:
            # An unread body would be taken for the next request.
            self._close_after = error.close or not isinstance(self._http.next_event(), h11.EndOfMessage)
            raise
        return endpoint

    def _read_body(self, head: Head) -> bytes:
        body = bytearray()
        while not isinstance(event := self._http.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            else:
                # At this point h11 has consumed everything that arrived.
                if len(self._received) - self._head_bytes - len(body) > MAX_FRAMING_BYTES:
                    raise too_much_framing()
                if self._http.they_are_waiting_for_100_continue:
                    go_ahead = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                    self._write(self._http.send(go_ahead))
                self._receive_more()
            if len(body) > self._limits.body_bytes:
                raise body_too_large(self._limits.body_bytes)
        end = len(self._received) - len(self._http.trailing_data[0])
        if is_chunked(head) and not self._received[:end].endswith(b"\r\n\r\n"):
            raise HttpError(HTTPStatus.BAD_REQUEST, "malformed trailers", close=True)
        return bytes(body)

    def _send(self, response: Response) -> None:
        head = self._http.send(_response_head(response, close=self._close_after or self._server.stopping))
        if isinstance(response.body, bytes):
            self._write(head + self._framed(response.body) + self._http.send(h11.EndOfMessage()))
            return
        with closing(response.body):
            self._turn.close()
            self._write(head)
            for piece in () if self._bodiless else response.body:
                self._write(self._framed(piece))
        self._write(self._http.send(h11.EndOfMessage()))

    def _framed(self, data: bytes) -> bytes:
        return self._http.send(h11.Data(data=data)) if data and not self._bodiless else b""

    def _receive_more(self) -> None:
        data = self._receive()
        if not data:
            raise EOFError("the connection ended within a request")
        self._received += data
        self._http.receive_data(data)

    def _receive(self) -> bytes:
        """What has arrived, up to `RECEIVE_BYTES`; empty at the end. Raises ``TimeoutError`` past the deadline."""
        if not self._ready(select.POLLIN, self._deadline):
            raise TimeoutError("the client is too slow")
        return self._socket.recv(RECEIVE_BYTES)

    def _write(self, data: bytes) -> None:
        """Send ``data``, which is one answer or one message of a stream, within ``write_seconds``.

        While the client takes nothing, the connection may be displaced. Raises ``OSError`` then, and past the deadline.
        """
        left = memoryview(data)
        deadline = time.monotonic() + self._limits.write_seconds
        stalled = False
        try:
            while (sent := self._send_some(left)) < len(left):
                left = left[sent:]
                starts_to_wait = sent > 0 or not stalled
                stalled = True
                if starts_to_wait and not self._server.connections.waiting(self._socket, socket.SHUT_RDWR):
                    raise ConnectionAbortedError("displaced")
                if not self._ready(select.POLLOUT, deadline):
                    raise TimeoutError("the client does not read")
        except OSError:
            # The kernel must not keep what the client did not take, nor go on offering it.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            raise
        if stalled:
            self._server.connections.working(self._socket)

    def _send_some(self, data: memoryview) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def _wait_for_client(self, seconds: float) -> bool:
        """Begin to wait for the client, for ``seconds`` at most. False: the connection was displaced."""
        self._deadline = time.monotonic() + seconds
        return self._server.connections.waiting(self._socket)

    def _ready(self, event: int, deadline: float) -> bool:
        """Wait for the client until ``deadline`` at most. Gives up the turn first, for other clients."""
        self._turn.close()
        return _poll(self._socket, event, deadline - time.monotonic())

    def _hung_up(self, within_seconds: float) -> bool:
        return _poll(self._socket, _HANG_UP, within_seconds)

    def _linger(self) -> None:
        """Read what the client still sends: closing with unread input resets the connection, and the answer is lost."""
        self._socket.shutdown(socket.SHUT_WR)
        if self._wait_for_client(self._limits.linger_seconds):
            while self._receive():
                pass


def _response_head(response: Response, *, close: bool) -> h11.Response:
    headers = {"Date": formatdate(usegmt=True), **headers_of(response)}
    if isinstance(response.body, bytes) and response.status not in _WITHOUT_CONTENT:
        headers["Content-Length"] = str(len(response.body))
    if close:
        headers["Connection"] = "close"
    return h11.Response(status_code=response.status, headers=list(headers.items()), reason=response.status.phrase)


def _too_late() -> Response:
    return HttpError(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive").response


def _refuse(client: socket.socket) -> None:
    """Answer 503 to a client that there is no room for, if it can be sent without waiting, and close the connection."""
    busy = HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", {"Retry-After": "1"}).response
    http = h11.Connection(h11.SERVER)
    head, body = http.send(_response_head(busy, close=True)), http.send(h11.Data(data=cast("bytes", busy.body)))
    with contextlib.suppress(OSError), closing(client):
        client.setblocking(False)
        client.send(head + body + http.send(h11.EndOfMessage()))


def _poll(client: socket.socket, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(client, event)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def _shut_down(connection: socket.socket, side: int) -> None:
    with contextlib.suppress(OSError):  # the client has closed it already
        connection.shutdown(side)
