"""A bounded HTTP/1.1 server on the standard library's `socketserver`: a thread a connection, a limit on everything."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from api.http_connection import Connection, encode
from api.http_message import Application, HttpError
from api.http_rules import MAX_BODY_BYTES

log = logging.getLogger(__name__)

OUT_OF_FILES_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may use. ``receive_seconds`` is for one whole request, from its first byte to its last.

    ``poll_seconds``: how soon the accepting thread notices that it shall stop.
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
    """At most ``most`` connections. When full, a new one displaces the one that has waited longest for its client.

    So neither idle connections, nor clients that send a byte a minute, nor those that do not read lock anybody out: an
    honest request is received within a round trip, and its answer taken. A request counts as one wait, however often a
    byte of it comes; an answer as a new one whenever the client has taken some of it, so who reads slowly is not the
    first to go. While the server works on an answer the connection waits for nobody, and stays.

    A connection is told to end by shutting a side of it. Without its receiving side its thread finds what has arrived
    already, then the end of the input, and can still answer. Without both it can do nothing more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[socket.socket] = set()
        self._waiting: dict[socket.socket, int] = {}  # which side to shut, in the order in which they began to wait
        self._displaced: set[socket.socket] = set()
        self._changed = threading.Condition()

    def admit(self, connection: socket.socket) -> bool:
        """Whether there is room for ``connection``, which then counts as waiting until it says otherwise."""
        with self._changed:
            full = len(self._open) - len(self._displaced) >= self._most
            # The displaced ones are leaving: the second bound is for a machine too slow to let them.
            if (full and not self._displace_oldest()) or len(self._open) >= 2 * self._most:
                return False
            self._open.add(connection)
            self._waiting[connection] = socket.SHUT_RD
            return True

    def waiting(self, connection: socket.socket, side: int = socket.SHUT_RD) -> bool:
        """Note that ``connection`` waits, from now on, for its client: to send, or (SHUT_RDWR) to read.

        False: it was displaced, end it.
        """
        with self._changed:
            self._waiting.pop(connection, None)
            if connection in self._displaced:
                return False
            self._waiting[connection] = side
            return True

    def working(self, connection: socket.socket) -> None:
        """Note that ``connection`` waits for us: its request is whole, or its client has taken what there was."""
        with self._changed:
            self._waiting.pop(connection, None)

    def leave(self, connection: socket.socket) -> None:
        """Forget ``connection``. To be called before it is closed."""
        with self._changed:
            self._waiting.pop(connection, None)
            self._displaced.discard(connection)
            self._open.discard(connection)
            self._changed.notify_all()

    def displace_oldest(self) -> bool:
        """End the connection that has waited longest. False: all are being worked for."""
        with self._changed:
            return self._displace_oldest()

    def drain(self, within_seconds: float) -> bool:
        """End all connections: idle ones now, the others after their answer, or at last by force. Whether none was."""
        with self._changed:
            for connection in self._open:
                _shut(connection, socket.SHUT_RD)
            drained = self._changed.wait_for(lambda: not self._open, within_seconds)
            for connection in self._open:
                _shut(connection, socket.SHUT_RDWR)
            return drained

    def _displace_oldest(self) -> bool:
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        self._displaced.add(oldest)
        _shut(oldest, self._waiting.pop(oldest))
        return True


class BoundedServer(socketserver.TCPServer):
    """Serves ``application`` at ``host:port`` (port 0: any free one) within ``limits``.

    Raises ``OSError`` when the address cannot be bound.
    """

    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, host: str, port: int, application: Application, limits: Limits | None = None) -> None:
        self.application = application
        self.limits = limits or Limits()
        self.connections = Connections(self.limits.connections)
        self.turns = threading.Lock()
        """Held while a request is worked on that came before the one ahead of it was answered: one of those at a time,
        so that clients who send many at once take turns, and others wait for none of them."""
        self.stopping = False
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Connection)

    @property
    def url(self) -> str:
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Accept connections, in a thread."""
        self._accepting = threading.Thread(
            target=self.serve_forever, args=(self.limits.poll_seconds,), name="accept", daemon=True
        )
        self._accepting.start()

    def stop(self) -> bool:
        """Accept nothing more, finish the requests in flight, close all. Whether all ended within the limit."""
        self.stopping = True
        self.shutdown()
        self._accepting.join()
        self.server_close()
        return self.connections.drain(self.limits.drain_seconds)

    def get_request(self) -> tuple[Any, Any]:
        try:
            return super().get_request()
        except OSError as error:
            # Out of file descriptors, most likely: make room instead of trying again at full speed.
            log.warning("cannot accept a connection: %s", error)
            self.connections.displace_oldest()
            time.sleep(OUT_OF_FILES_PAUSE_SECONDS)
            raise

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 (the base class's signature)
        admitted = self.connections.admit(request)
        if not admitted:
            _refuse(request)
        return admitted

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self._serve, args=(request, client_address), name="connection", daemon=True)
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        self.connections.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (the base class's signature)
        log.exception("a connection failed")

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)


def _refuse(connection: socket.socket) -> None:
    """Tell a client for whom there is no room, as far as that goes without waiting."""
    busy = HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", {"Retry-After": "1"}).response
    connection.setblocking(False)
    with contextlib.suppress(OSError):
        connection.send(encode(busy))


def _shut(connection: socket.socket, side: int) -> None:
    with contextlib.suppress(OSError):  # the client was quicker
        connection.shutdown(side)
