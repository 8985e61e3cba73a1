"""A proxy in front of a local AWS, which loses answers and refuses calls."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from shopflow.environment import LOOPBACK

UNKNOWN = b'{"__type": "UnknownOperationException"}'
ANSWER_SECONDS = 30


@dataclass(slots=True)
class Faults:
    """What the proxy does.

    It loses the answer of each call in ``lose``, once for each request; ``lost`` has those calls. It says of those in
    ``refuse`` that it does not know them.
    """

    lose: Collection[str] = ()
    refuse: Collection[str] = ()
    lost: set[tuple[str, bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def loses(self, operation: str, body: bytes) -> bool:
        with self._lock:
            if operation not in self.lose or (operation, body) in self.lost:
                return False
            self.lost.add((operation, body))
            return True


@contextmanager
def lossy(port: int, upstream: int, faults: Faults) -> Iterator[None]:
    """Pass all that comes to ``port`` on to ``upstream``, with ``faults``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            operation = operation_of(self.headers.get("X-Amz-Target"), body)
            if operation in faults.refuse:
                return self.answer(400, "application/x-amz-json-1.0", UNKNOWN)
            connection = http.client.HTTPConnection(LOOPBACK, upstream, timeout=ANSWER_SECONDS)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                response = connection.getresponse()
                data = response.read()
            except OSError:
                return self.answer(502, "text/plain", b"")
            finally:
                connection.close()
            if faults.loses(operation, body):
                self.close_connection = True
                return None
            return self.answer(response.status, response.headers.get("Content-Type", ""), data)

        do_GET = do_POST = pass_on  # noqa: N815  # the names of http.server

        def answer(self, status: int, kind: str, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = http.server.ThreadingHTTPServer((LOOPBACK, port), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def operation_of(target: str | None, body: bytes) -> str:
    """The name of the operation that is called, such as CreateQueue; empty if it is no call of AWS."""
    if target:
        return target.rpartition(".")[2]
    return parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
