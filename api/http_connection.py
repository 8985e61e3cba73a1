"""One client's connection: requests in, responses out, one after the other. h11 says what the bytes mean."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import socketserver
import struct
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import h11

from api.http_message import MAX_LOGGED_TARGET, Head, HttpError, Request, Response, call, headers_of
from api.http_rules import (
    MAX_FRAMING_BYTES,
    MAX_HEAD_BYTES,
    check_body_comes,
    check_expectation,
    check_json,
    check_length,
    head_of,
    is_chunked,
    malformed,
    too_large,
    too_much_framing,
)
from shopflow.log import about

if TYPE_CHECKING:
    from api.http_server import BoundedServer

log = logging.getLogger(__name__)

RECEIVE_BYTES = 16 * 1024
SEND_BUFFER_BYTES = 64 * 1024
"""What the kernel may hold of an answer that is not read (Linux takes it twice): hundreds of clients may do so."""
_WITHOUT_CONTENT = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_HANG_UP = getattr(select, "POLLRDHUP", 0)
"""The client has closed its side (Linux). Elsewhere only a full close is noticed, which poll always reports."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


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


class Connection(socketserver.BaseRequestHandler):
    """Serves a connection to its end, in a thread of its own."""

    request: socket.socket

    def setup(self) -> None:
        self._server = cast("BoundedServer", self.server)
        self._limits = self._server.limits
        self._received = bytearray()  # of the request at hand
        self._ahead = b""  # received together with it: the beginning of the next
        self._turn = ExitStack()  # held, if at all, until the client has to be waited for
        self.request.setblocking(False)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def handle(self) -> None:
        with contextlib.suppress(OSError), self._turn:  # the client is gone, or too slow to take an answer
            while self._request_comes() and self._serve():
                pass

    def _request_comes(self) -> bool:
        """Wait for the first byte of a request. False: it is over, by the client's will or ours."""
        self._http = h11.Connection(h11.SERVER, MAX_HEAD_BYTES)
        self._bodiless = False
        if self._ahead and not self._takes_its_turn():
            return False
        # Displaced by now? Then the reads below find what had come, and the end of the input.
        self._await_input(self._limits.idle_seconds)
        received = self._ahead
        # RFC 9112 2.2: a client may send an empty line too many after a body.
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

    def _takes_its_turn(self) -> bool:
        """Wait until no other request that was sent ahead is worked on. False: displaced meanwhile."""
        self._await_input(self._limits.idle_seconds)
        self._turn.enter_context(self._server.turns)
        return self._await_input(self._limits.idle_seconds)

    def _await_input(self, seconds: float) -> bool:
        """Begin to wait for the client, so long at most. False: it was displaced."""
        self._deadline = time.monotonic() + seconds
        return self._server.connections.waiting(self.request)

    def _receive(self) -> bytes:
        """What has come, up to `RECEIVE_BYTES`; empty at the end. Raises ``TimeoutError`` past the deadline."""
        if not self._ready(select.POLLIN, self._deadline):
            raise TimeoutError("the client is too slow")
        return self.request.recv(RECEIVE_BYTES)

    def _ready(self, event: int, deadline: float) -> bool:
        """Wait for the client, until ``deadline`` at most."""
        self._turn.close()
        poll = select.poll()
        poll.register(self.request, event)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))

    def _serve(self) -> bool:
        """Answer one request. Returns whether another may follow."""
        started = time.monotonic()
        exchange = self._exchange()
        try:
            self._send(exchange)
        finally:
            milliseconds = (time.monotonic() - started) * 1000
            status = exchange.response.status.value
            extra = about(order_id=exchange.response.order_id)
            client = self.client_address[0]
            log.info("%s %s %d %.1f ms", client, exchange.line, status, milliseconds, extra=extra)
        self._turn.close()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._ahead = self._http.trailing_data[0]
            return True
        self._linger()
        return False

    def _exchange(self) -> Exchange:
        head: Head | None = None
        try:
            self._await_input(self._limits.receive_seconds)
            head = self._read_head()
            return self._answer(head)
        except h11.RemoteProtocolError as error:
            return Exchange(malformed(error, head, bytes(self._received)).response, close=True, head=head)
        except HttpError as error:
            return Exchange(error.response, close=True, head=head)
        except TimeoutError:
            return Exchange(_late().response, close=True, head=head)
        except EOFError as error:
            cut_short = HttpError(HTTPStatus.BAD_REQUEST, str(error))
            late = not self._server.connections.waiting(self.request) or self._server.stopping
            return Exchange((_late() if late else cut_short).response, close=True, head=head)

    def _read_head(self) -> Head:
        while not isinstance(event := self._http.next_event(), h11.Request):
            self._receive_more()
        self._bodiless = event.method == b"HEAD"
        self._head_bytes = len(self._received) - len(self._http.trailing_data[0])
        head = head_of(event, bytes(self._received[: self._head_bytes]))
        check_length(head, self._limits.body_bytes)
        return head

    def _receive_more(self) -> None:
        data = self._receive()
        if not data:
            raise EOFError("the connection ended within a request")
        self._received += data
        self._http.receive_data(data)

    def _answer(self, head: Head) -> Exchange:
        try:
            endpoint = self._server.application.endpoint(head.method, head.path)
            check_expectation(head)
            if endpoint.takes_json:
                check_body_comes(head)
                check_json(head)
        except HttpError as error:
            # A body that was not read would be taken for the next request.
            unread = not isinstance(self._http.next_event(), h11.EndOfMessage)
            return Exchange(error.response, close=error.close or unread, head=head)
        body = self._read_body(head)
        self._server.connections.working(self.request)
        response = call(endpoint, Request(head, body, self._hung_up))
        return Exchange(response, not isinstance(response.body, bytes), head)

    def _read_body(self, head: Head) -> bytes:
        body = bytearray()
        while not isinstance(event := self._http.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            else:
                # By now h11 has used all that came.
                if len(self._received) - self._head_bytes - len(body) > MAX_FRAMING_BYTES:
                    raise too_much_framing()
                if self._http.they_are_waiting_for_100_continue:
                    go_ahead = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                    self._write(self._http.send(go_ahead))
                self._receive_more()
            if len(body) > self._limits.body_bytes:
                raise too_large(self._limits.body_bytes)
        end = len(self._received) - len(self._http.trailing_data[0])
        if is_chunked(head) and not self._received[:end].endswith(b"\r\n\r\n"):
            raise HttpError(HTTPStatus.BAD_REQUEST, "malformed trailers", close=True)
        return bytes(body)

    def _send(self, exchange: Exchange) -> None:
        response = exchange.response
        head = self._http.send(_head_event(response, close=exchange.close or self._server.stopping))
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

    def _write(self, data: bytes) -> None:
        """Have the client take ``data``, which is one answer or one message of a stream, within `write_seconds` in all.

        While it takes nothing its connection may be displaced. Raises ``OSError`` then, and when it is too slow.
        """
        left = memoryview(data)
        deadline = time.monotonic() + self._limits.write_seconds
        stalled = False
        try:
            while (sent := self._send_some(left)) < len(left):
                left = left[sent:]
                took_some = sent > 0 or not stalled
                stalled = True
                if took_some and not self._server.connections.waiting(self.request, socket.SHUT_RDWR):
                    raise ConnectionAbortedError("displaced")
                if not self._ready(select.POLLOUT, deadline):
                    raise TimeoutError("the client does not read")
        except OSError:
            # What it did not take must not stay with the kernel, which would go on offering it.
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            raise
        if stalled:
            self._server.connections.working(self.request)

    def _send_some(self, data: memoryview) -> int:
        try:
            return self.request.send(data)
        except BlockingIOError:
            return 0

    def _hung_up(self, within_seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.request, _HANG_UP)
        return bool(poll.poll(within_seconds * 1000))

    def _linger(self) -> None:
        """Take what the client still sends: closing on unread input resets the connection, and the answer is lost."""
        self.request.shutdown(socket.SHUT_WR)
        if self._await_input(self._limits.linger_seconds):
            while self._receive():
                pass


def encode(response: Response) -> bytes:
    """``response``, which has its body, as an answer to who has sent nothing."""
    http = h11.Connection(h11.SERVER)
    head, body = http.send(_head_event(response, close=True)), h11.Data(data=cast("bytes", response.body))
    return head + http.send(body) + http.send(h11.EndOfMessage())


def _head_event(response: Response, *, close: bool) -> h11.Response:
    headers = {"Date": formatdate(usegmt=True), **headers_of(response)}
    if isinstance(response.body, bytes) and response.status not in _WITHOUT_CONTENT:
        headers["Content-Length"] = str(len(response.body))
    if close:
        headers["Connection"] = "close"
    return h11.Response(status_code=response.status, headers=list(headers.items()), reason=response.status.phrase)


def _late() -> HttpError:
    return HttpError(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive")
