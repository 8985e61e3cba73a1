"""HTTP requests and responses as values. How they travel is `api.http_connection`, what they say `api.routes`."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

from shopflow import jsontext

log = logging.getLogger(__name__)

JSON = "application/json"
MAX_LOGGED_TARGET = 200
SECURITY_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_ENCODED = re.compile(r"%([0-9a-f]{2})", re.IGNORECASE)
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Head:
    """The request line and the headers. ``headers`` has all values of each name, names in lower case."""

    method: str
    target: str
    headers: Mapping[str, tuple[str, ...]]

    @property
    def path(self) -> str:
        """The target without its query, and without scheme and host if it came in absolute form.

        What needs no percent-encoding has none (RFC 3986, 6.2.2.2): ``/%6Frders`` is ``/orders``.
        """
        path = _ABSOLUTE.sub("", self.target, count=1) if not self.target.startswith("/") else self.target
        return _ENCODED.sub(_decoded, path.partition("?")[0]) or "/"

    def only(self, name: str) -> str | None:
        """The value of a header that may come once; None if it is missing. Raises `HttpError` 400 if it is repeated."""
        values = self.headers.get(name.lower(), ())
        if len(values) > 1:
            raise HttpError(HTTPStatus.BAD_REQUEST, f"{name}: must not be repeated", close=True)
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was received whole.

    ``hung_up(seconds)`` waits that long at most and tells whether the connection is about to end: the client has closed
    it or the server is stopping.
    """

    head: Head
    body: bytes
    hung_up: Callable[[float], bool]
    trace_parent: str | None = None


class Stream(Protocol):
    """A body that is sent while it is made. ``close`` is called in any case, even if it was never iterated."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. ``order_id``, if it is about an order, is for the access log."""

    status: HTTPStatus
    body: bytes | Stream = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    order_id: str | None = None


class HttpError(Exception):
    """A request that is answered with an error. ``close``: what follows on the connection cannot be told apart."""

    def __init__(
        self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None, *, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.close = close

    @property
    def response(self) -> Response:
        return json_response(self.status, {"error": str(self)}, self.headers)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers a request. ``takes_json``: it needs a body, of that content type."""

    answer: Callable[[Request], Response]
    takes_json: bool = False


class Application(Protocol):
    def endpoint(self, method: str, path: str) -> Endpoint:
        """Who answers. Raises `HttpError` 404 for an unknown path, 405 with Allow for another method than it has."""
        ...


def json_response(
    status: HTTPStatus, value: Any, headers: Mapping[str, str] | None = None, order_id: str | None = None
) -> Response:
    body = jsontext.dumps(value).encode()
    return Response(status, body, JSON, {"Cache-Control": "no-store", **(headers or {})}, order_id)


def call(endpoint: Endpoint, request: Request) -> Response:
    """What ``endpoint`` answers, its errors told in HTTP."""
    try:
        return endpoint.answer(request)
    except HttpError as error:
        return error.response
    except Exception:
        log.exception("%s %s failed", request.head.method, request.head.target[:MAX_LOGGED_TARGET])
        return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error").response


def headers_of(response: Response) -> dict[str, str]:
    """The headers that ``response`` has, however it travels."""
    content = {"Content-Type": response.content_type} if response.content_type else {}
    return {**SECURITY_HEADERS, **response.headers, **content}


def _decoded(encoded: re.Match[str]) -> str:
    character = chr(int(encoded[1], 16))
    return character if _UNRESERVED.fullmatch(character) else encoded[0]
