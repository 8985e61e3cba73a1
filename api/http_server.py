"""A bounded HTTP/1.1 server: one thread per connection, a limit on everything. h11 parses and frames."""

from __future__ import annotations

import logging
import select
import socket
import struct
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

import h11

from api.http_message import (
    MAX_BODY_BYTES,
    MAX_FRAMING_BYTES,
    MAX_HEAD_BYTES,
    Endpoint,
    FindEndpoint,
    Head,
    HttpError,
    Request,
    Response,
    body_too_large,
    check_expectation,
    check_json,
    headers_of,
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
        self._changed = threading.Condition()  # its lock is reentrant

    def admit(self, connection: socket.socket) -> bool:
        """Add ``connection``, which now waits for its client. False: there is no room."""
        with self._changed:
            full = len(self._open) - len(self._displaced) >= self._max_open
            # Displaced connections are about to leave. The second bound is for a machine that closes them too slowly.
            if (full and not self.displace_oldest()) or len(self._open) >= 2 * self._max_open:
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
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                return False
            self._displaced.add(oldest)
            _shut_down(oldest, self._waiting.pop(oldest))
            return True

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


class BoundedServer:
    """Serves at ``host:port`` (port 0: any free port) the endpoints that ``find`` finds, within ``limits``.

    Raises ``OSError`` when it cannot bind the address.
    """

    def __init__(self, host: str, port: int, find: FindEndpoint, limits: Limits | None = None) -> None:
        self.find = find
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
            self.connections.leave(client)
            client.close()

    def _serve(self, client: socket.socket, address: str) -> None:
        try:
            Connection(self, client, address).serve()
        except Exception:
            log.exception("a connection failed")
        finally:
            self.connections.leave(client)
            client.close()


class Connection:
    """A client's connection. Each wait for the client has a deadline, and may be ended in favour of another client."""

    def __init__(self, server: BoundedServer, client: socket.socket, address: str) -> None:
        self.server = server
        self._limits = server.limits
        self._socket = client
        self._address = address
        self._deadline = 0.0  # of the present wait for something to read
        self._turn = ExitStack()  # holds the server's pipeline_turn, if at all, until we wait for the client
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def serve(self) -> None:
        """Answer requests, one after the other, until the client or the server ends the connection."""
        with suppress(OSError), self._turn:  # OSError: the client has gone, or does not take its answer
            received = self._beginning(b"")
            while received:
                started = time.monotonic()
                exchange = Exchange(self, received)
                self.wait(self._limits.receive_seconds)
                response = exchange.response()
                try:
                    exchange.send(response)
                finally:
                    log_access(self._address, exchange.head, response, time.monotonic() - started)
                self.end_turn()
                if not exchange.may_be_followed:
                    self._linger()
                    return
                received = self._beginning(exchange.rest)

    def wait(self, seconds: float) -> bool:
        """Begin to wait for the client, for ``seconds`` at most. False: the connection was displaced."""
        self._deadline = time.monotonic() + seconds
        return self.server.connections.waiting(self._socket)

    @property
    def was_ended(self) -> bool:
        """Whether the server has ended the connection, so that no more can arrive."""
        return self.server.stopping or not self.server.connections.waiting(self._socket)

    def work(self) -> None:
        """End the wait: from now on the client waits for us."""
        self.server.connections.working(self._socket)

    def end_turn(self) -> None:
        """Let other connections process their pipelined requests."""
        self._turn.close()

    def receive(self) -> bytes:
        """What has arrived, up to `RECEIVE_BYTES`; empty at the end. Raises ``TimeoutError`` past the deadline."""
        if not self._ready(select.POLLIN, self._deadline):
            raise TimeoutError("the client is too slow")
        return self._socket.recv(RECEIVE_BYTES)

    def write(self, data: bytes) -> None:
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
                if starts_to_wait and not self.server.connections.waiting(self._socket, socket.SHUT_RDWR):
                    raise ConnectionAbortedError("displaced")
                if not self._ready(select.POLLOUT, deadline):
                    raise TimeoutError("the client does not read")
        except OSError:
            # The kernel must not keep what the client did not take, nor go on offering it.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            raise
        if stalled:
            self.work()

    def hung_up(self, within_seconds: float) -> bool:
        return _poll(self._socket, _HANG_UP, within_seconds)

    def _beginning(self, received: bytes) -> bytes:
        """The first bytes of the next request: ``received`` is what arrived with the one before. Empty: there is none,
        because the client or the server has ended the connection."""
        if received:
            self.wait(self._limits.idle_seconds)
            self._turn.enter_context(self.server.pipeline_turn)
        if not self.wait(self._limits.idle_seconds) and received:
            return b""
        # If it was displaced by now, the reads below find what had arrived, and then the end of the input.
        with suppress(TimeoutError):
            # RFC 9112 2.2: a client may send an extra empty line after a body.
            while not (received := received.removeprefix(b"\r\n")) and (received := self.receive()):
                pass
        return received

    def _linger(self) -> None:
        """Read what the client still sends: closing with unread input resets the connection, and the answer is lost."""
        self._socket.shutdown(socket.SHUT_WR)
        if self.wait(self._limits.linger_seconds):
            while self.receive():
                pass

    def _send_some(self, data: memoryview) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def _ready(self, event: int, deadline: float) -> bool:
        """Wait for the client until ``deadline`` at most. Gives up the turn first, for other clients."""
        self.end_turn()
        return _poll(self._socket, event, deadline - time.monotonic())


class Exchange:
    """One request, of which ``received`` has arrived, and its response. ``head`` is None if it could not be read."""

    def __init__(self, connection: Connection, received: bytes) -> None:
        self.head: Head | None = None
        self._connection = connection
        self._server = connection.server
        self._http = h11.Connection(h11.SERVER, MAX_HEAD_BYTES)
        self._http.receive_data(received)
        self._received = bytearray(received)
        self._bodiless = False  # the response to HEAD has no body

    @property
    def may_be_followed(self) -> bool:
        """Whether the connection can be used for another request."""
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    @property
    def rest(self) -> bytes:
        """What arrived after the request."""
        return self._http.trailing_data[0]

    def response(self) -> Response:
        """Read the request and have it answered."""
        try:
            head = self._read_head()
            endpoint = self._endpoint(head)
            body = self._read_body(head)
        except h11.RemoteProtocolError as error:
            return malformed(error, self.head, bytes(self._received)).response
        except HttpError as error:
            return error.response
        except TimeoutError:
            return HttpError(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive").response
        self._connection.work()
        return endpoint.answer(Request(head, body, self._connection.hung_up))

    def send(self, response: Response) -> None:
        """Send ``response``, and end the connection after it if the next request could not be found. Raises ``OSError``
        when the client does not take it."""
        is_whole = isinstance(response.body, bytes)
        must_close = response.close or not is_whole or self._server.stopping or self._http.their_state is not h11.DONE
        head = self._http.send(_response_head(response, close=must_close))
        if isinstance(response.body, bytes):
            self._connection.write(head + self._framed(response.body) + self._http.send(h11.EndOfMessage()))
            return
        with closing(response.body):
            self._connection.end_turn()
            self._connection.write(head)
            for piece in () if self._bodiless else response.body:
                self._connection.write(self._framed(piece))
        self._connection.write(self._http.send(h11.EndOfMessage()))

    def _read_head(self) -> Head:
        while not isinstance(event := self._http.next_event(), h11.Request):
            self._receive_more()
        self._bodiless = event.method == b"HEAD"
        self.head = parse_head(event, self._read_so_far())
        if (self.head.length or 0) > MAX_BODY_BYTES:
            raise body_too_large()
        return self.head

    def _endpoint(self, head: Head) -> Endpoint:
        try:
            endpoint = self._server.find(head.method, head.path)
            check_expectation(head)
            if endpoint.takes_json:
                if not head.is_chunked and head.length is None:
                    message = "Content-Length or Transfer-Encoding: is required"
                    raise HttpError(HTTPStatus.LENGTH_REQUIRED, message, close=True)
                check_json(head)
        except HttpError:
            self._http.next_event()  # the end of a request without a body; a body stays unread, so we must close
            raise
        return endpoint

    def _read_body(self, head: Head) -> bytes:
        head_bytes = len(self._read_so_far())
        body = bytearray()
        while not isinstance(event := self._http.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            else:
                # At this point h11 has consumed everything that arrived.
                if len(self._received) - head_bytes - len(body) > MAX_FRAMING_BYTES:
                    raise too_much_framing()
                if self._http.they_are_waiting_for_100_continue:
                    go_ahead = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                    self._connection.write(self._http.send(go_ahead))
                self._receive_more()
            if len(body) > MAX_BODY_BYTES:
                raise body_too_large()
        if head.is_chunked and not self._read_so_far().endswith(b"\r\n\r\n"):
            raise HttpError(HTTPStatus.BAD_REQUEST, "malformed trailers", close=True)
        return bytes(body)

    def _read_so_far(self) -> bytes:
        """What h11 has consumed."""
        return bytes(self._received[: len(self._received) - len(self.rest)])

    def _receive_more(self) -> None:
        data = self._connection.receive()
        if not data:
            if self._connection.was_ended:
                raise TimeoutError
            raise HttpError(HTTPStatus.BAD_REQUEST, "the connection ended within a request")
        self._received += data
        self._http.receive_data(data)

    def _framed(self, data: bytes) -> bytes:
        return self._http.send(h11.Data(data=data)) if data and not self._bodiless else b""


def _response_head(response: Response, *, close: bool) -> h11.Response:
    headers = {"Date": formatdate(usegmt=True), **headers_of(response)}
    if isinstance(response.body, bytes) and response.status not in _WITHOUT_CONTENT:
        headers["Content-Length"] = str(len(response.body))
    if close:
        headers["Connection"] = "close"
    return h11.Response(status_code=response.status, headers=list(headers.items()), reason=response.status.phrase)


def _refuse(client: socket.socket) -> None:
    """Answer 503 to a client that there is no room for, if it can be sent without waiting, and close the connection."""
    busy = HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", {"Retry-After": "1"}).response
    http = h11.Connection(h11.SERVER)
    head, body = http.send(_response_head(busy, close=True)), http.send(h11.Data(data=cast("bytes", busy.body)))
    with suppress(OSError), closing(client):
        client.setblocking(False)
        client.send(head + body + http.send(h11.EndOfMessage()))


def _poll(client: socket.socket, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(client, event)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def _shut_down(connection: socket.socket, side: int) -> None:
    with suppress(OSError):  # the client has closed it already
        connection.shutdown(side)
