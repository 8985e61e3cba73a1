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

from api.http_connection import Connection
from api.http_connections import Connections
from api.http_message import Application, HttpError, encode_head

log = logging.getLogger(__name__)

OUT_OF_FILES_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may use. ``receive_seconds`` is for one whole request, from its first byte to its last.

    ``poll_seconds``: how soon the accepting thread notices that it shall stop.
    """

    connections: int = 512
    body_bytes: int = 64 * 1024
    idle_seconds: float = 30.0
    receive_seconds: float = 10.0
    write_seconds: float = 10.0
    linger_seconds: float = 2.0
    drain_seconds: float = 10.0
    poll_seconds: float = 0.1


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
        connection.send(encode_head(busy, close=True) + bytes(busy.body))  # type: ignore[arg-type]
