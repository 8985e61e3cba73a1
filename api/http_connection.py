"""One client's connection: requests in, responses out, one after the other."""

from __future__ import annotations

import contextlib
import io
import logging
import select
import socket
import socketserver
import time
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from api.http_message import MAX_LOGGED_TARGET, Head, HttpError, Request, Response, call, encode_head
from api.http_parsing import body_length, check_json, expects_continue, read_head
from shopflow.log import about

if TYPE_CHECKING:
    from api.http_server import BoundedServer

log = logging.getLogger(__name__)

RECEIVE_BYTES = 64 * 1024
_HANG_UP = getattr(select, "POLLRDHUP", 0)
"""The client has closed its side (Linux). Elsewhere only a full close is noticed, which poll always reports."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A response, whether the connection ends with it, and the request's head if there was one."""

    response: Response
    close: bool
    head: Head | None = None

    @property
    def line(self) -> str:
        """The request as the access log shows it."""
        return f"{self.head.method} {self.head.target[:MAX_LOGGED_TARGET]}" if self.head else "-"


class DeadlineReader(io.RawIOBase):
    """The receiving side of a socket. A read past ``deadline`` (monotonic seconds) raises ``TimeoutError``."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.deadline = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the client is too slow")
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)


class Connection(socketserver.BaseRequestHandler):
    """Serves a connection to its end, in a thread of its own."""

    request: socket.socket

    def setup(self) -> None:
        self._server = cast("BoundedServer", self.server)
        self._limits = self._server.limits
        self._raw = DeadlineReader(self.request)
        self._reader = io.BufferedReader(self._raw)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client is gone, or too slow to take an answer
            while self._request_comes() and self._serve():
                pass

    def finish(self) -> None:
        self._reader.close()

    def _request_comes(self) -> bool:
        """Wait for the first byte of a request. False: it is over, by the client's will or ours."""
        return self._await_input(self._limits.idle_seconds) and bool(self._reader.peek(1))

    def _await_input(self, seconds: float) -> bool:
        self._raw.deadline = time.monotonic() + seconds
        return self._server.connections.waiting(self.request)

    def _serve(self) -> bool:
        """Answer one request. Returns whether another may follow."""
        started = time.monotonic()
        exchange = self._exchange()
        close = exchange.close or self._server.stopping
        try:
            self._send(exchange, close)
        finally:
            milliseconds = (time.monotonic() - started) * 1000
            status = exchange.response.status.value
            extra = about(order_id=exchange.response.order_id)
            log.info("%s %d %.1f ms", exchange.line, status, milliseconds, extra=extra)
        if close:
            self._linger()
        return not close

    def _exchange(self) -> Exchange:
        head: Head | None = None
        try:
            # Displaced by now? Then the read below finds the end of the input.
            self._await_input(self._limits.receive_seconds)
            head = read_head(self._reader.readline)
            length = body_length(head, self._limits.body_bytes)
            return self._answer(head, length)
        except HttpError as error:
            return Exchange(error.response, close=True, head=head)
        except TimeoutError:
            return Exchange(_late().response, close=True, head=head)
        except EOFError as error:
            cut_short = HttpError(HTTPStatus.BAD_REQUEST, str(error))
            late = not self._server.connections.waiting(self.request) or self._server.stopping
            return Exchange((_late() if late else cut_short).response, close=True, head=head)

    def _answer(self, head: Head, length: int | None) -> Exchange:
        try:
            endpoint = self._server.application.endpoint(head.method, head.path)
            if endpoint.takes_json:
                check_json(head, length)
            body = self._read_body(head, length or 0)
        except HttpError as error:
            # Its body was not read and would be taken for the next request.
            return Exchange(error.response, close=error.close or bool(length) or head.wants_close, head=head)
        self._server.connections.working(self.request)
        response = call(endpoint, Request(head, body, self._hung_up))
        close = head.wants_close or not isinstance(response.body, bytes)
        return Exchange(response, close, head)

    def _read_body(self, head: Head, length: int) -> bytes:
        if length and expects_continue(head):
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._reader.read(length)
        if len(body) < length:
            raise EOFError("the connection ended within a request")
        return body

    def _send(self, exchange: Exchange, close: bool) -> None:
        response = exchange.response
        body, head = response.body, encode_head(response, close=close)
        bodiless = exchange.head is not None and exchange.head.method == "HEAD"
        if isinstance(body, bytes):
            self._write(head if bodiless else head + body)
            return
        with closing(body):
            self._write(head)
            for piece in () if bodiless else body:
                self._write(piece)

    def _write(self, data: bytes) -> None:
        # For sendall this is the limit of the whole call, however slowly the client reads.
        self.request.settimeout(self._limits.write_seconds)
        self.request.sendall(data)

    def _hung_up(self, within_seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.request, _HANG_UP)
        return bool(poll.poll(within_seconds * 1000))

    def _linger(self) -> None:
        """Take what the client still sends: closing on unread input resets the connection, and the answer is lost."""
        self.request.shutdown(socket.SHUT_WR)
        if self._await_input(self._limits.linger_seconds):
            while self._raw.read(RECEIVE_BYTES):
                pass


def _late() -> HttpError:
    return HttpError(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive")
