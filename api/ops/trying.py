""" "Try to break it": passes requests on to the supervisor of `make run-all`, and its messages back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from api.documents import Files
from api.http_message import Head, HttpError, Request, Response, json_response
from api.ops.routes import operators_page
from api.ops.session import Sessions, check_same_origin
from api.routing import Route
from api.streams import EventStream, HungUp, Message
from shopflow import jsontext
from shopflow.clock import Clock
from shopflow.control import ask, connected

MAX_STREAMS = 10
READ_BYTES = 64 * 1024
_SINCE = re.compile(r"[?&]since=(\d{1,15})(?:&|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class TryApi:
    """``control``: the supervisor's socket. None: this is off, and every path is 404."""

    sessions: Sessions
    control: Path | None
    clock: Clock
    files: Files
    slots: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(MAX_STREAMS))

    @property
    def routes(self) -> list[Route]:
        reading, changing = [self.sessions.check], [check_same_origin, self.sessions.check]
        return [
            Route("GET", "/try", operators_page("try.html", self.sessions, self.files), checks=[self._check_on]),
            Route("GET", "/try/state", self._get_state, checks=reading),
            Route("GET", "/try/stream", self._get_stream, checks=reading),
            Route("POST", r"/try/claims/(\d{1,3})", self._run, checks=changing),
            Route("POST", r"/try/services/([^/]+)/(kill|freeze|restart)", self._handle_service, checks=changing),
            Route("POST", r"/try/faults/(twice|hold|poison)", self._make_fault, checks=changing),
        ]

    def _socket(self) -> Path:
        if self.control is None or not self.control.exists():
            raise HttpError(HTTPStatus.NOT_FOUND, "there is nothing to try here: 'make run-all' on loopback offers it")
        return self.control

    def _check_on(self, _: Head) -> None:
        self._socket()

    def _get_state(self, _: Request) -> Response:
        return json_response(HTTPStatus.OK, ask(self._socket(), {"do": "state"}))

    def _get_stream(self, request: Request) -> Response:
        path, since = self._socket(), _SINCE.search(request.head.target)
        wanted = {"do": "watch", **({"since": int(since[1])} if since else {})}
        return TryStream(self.slots, self.clock, request.hung_up, path, wanted).response()

    def _run(self, _: Request, claim: str) -> Response:
        return self._pass_on({"do": "run", "claim": int(claim)})

    def _handle_service(self, _: Request, name: str, do: str) -> Response:
        return self._pass_on({"do": do, "service": name})

    def _make_fault(self, _: Request, name: str) -> Response:
        return self._pass_on({"do": "fault", "name": name})

    def _pass_on(self, request: dict[str, Any]) -> Response:
        answer = ask(self._socket(), request)
        if "error" not in answer:
            return json_response(HTTPStatus.ACCEPTED, {})
        is_busy = "is running" in answer["error"]
        raise HttpError(HTTPStatus.CONFLICT if is_busy else HTTPStatus.NOT_FOUND, answer["error"])


class TryStream(EventStream):
    """The supervisor's messages, until it or the client has gone."""

    limit_ms = 600_000

    def __init__(
        self, slots: BoundedSemaphore, clock: Clock, hung_up: HungUp, path: Path, wanted: Mapping[str, Any]
    ) -> None:
        super().__init__(slots, clock, hung_up)
        self._unread = b""
        try:
            self._connection = connected(path, wanted)
        except BaseException:
            super().close()
            raise

    def _new_messages(self) -> Iterable[Message]:
        *lines, self._unread = self._unread.split(b"\n")
        return [jsontext.loads(line) for line in lines if line]

    def _wait(self, seconds: float) -> None:
        self._connection.settimeout(seconds)
        try:
            received = self._connection.recv(READ_BYTES)
        except TimeoutError:
            return
        except OSError:
            received = b""
        self._unread += received
        self.done = not received

    def close(self) -> None:
        self._connection.close()
        super().close()
