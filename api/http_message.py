"""HTTP requests and responses as values, and what a request must be beyond what h11 checks.

h11 accepts a bare LF, a folded header and a repeated length. Other parsers read those differently. Request smuggling
uses such differences, so each of them is a 400 here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Protocol

import h11

from shopflow import jsontext
from shopflow.log import about

log = logging.getLogger(__name__)

MAX_REQUEST_LINE_BYTES = 8 * 1024
MAX_HEADER_BYTES = 16 * 1024
"""All headers of a request together."""
MAX_HEADERS = 64
MAX_HEAD_BYTES = MAX_REQUEST_LINE_BYTES + MAX_HEADER_BYTES
MAX_BODY_BYTES = 64 * 1024
MAX_FRAMING_BYTES = 16 * 1024
"""What a chunked body may need besides its content: chunk sizes, extensions and trailers."""
MAX_LOGGED_TARGET = 200

JSON = "application/json"
SECURITY_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
NOT_STORED = {"Cache-Control": "no-store"}

_SCHEME_AND_HOST = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_ENCODED = re.compile(r"%([0-9a-f]{2})", re.IGNORECASE)
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]", re.ASCII)
_ABSOLUTE = re.compile(r"http://([^/?]*)(?:[/?].*)?", re.IGNORECASE)
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?", re.ASCII)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_AMBIGUOUS = re.compile(
    rb"(?<!\r)\n"  # a line that ends without CR
    rb"|\n[ \t]"  # a header that goes on in the next line
    rb"|\ncontent-length:[^\n]*,"
    rb"|\ncontent-length:(?s:.*)\ncontent-length:",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Head:
    """The request line and the headers. ``headers`` has all values of each name; names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, tuple[str, ...]]

    @property
    def path(self) -> str:
        """The target without its query, and without scheme and host if it came in absolute form.

        Needless percent-encoding is decoded (RFC 3986, 6.2.2.2): ``/%6Frders`` is ``/orders``.
        """
        path = self.target if self.target.startswith("/") else _SCHEME_AND_HOST.sub("", self.target, count=1)
        return _ENCODED.sub(_decoded, path.partition("?")[0]) or "/"

    def only(self, name: str) -> str | None:
        """The value of a header that may come once; None if it is missing. Raises `HttpError` 400 if it is repeated."""
        values = self.headers.get(name.lower(), ())
        if len(values) > 1:
            raise HttpError(HTTPStatus.BAD_REQUEST, f"{name}: must not be repeated")
        return values[0] if values else None

    @property
    def is_chunked(self) -> bool:
        return "transfer-encoding" in self.headers

    @property
    def length(self) -> int | None:
        """What Content-Length announces."""
        length = self.only("Content-Length")
        return None if length is None else int(length)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was received whole.

    ``hung_up(seconds)`` waits that long at most and returns whether the connection is about to end: the client has
    closed it, or the server is stopping. ``claims``: those of its token, if an authorizer has checked it already.
    """

    head: Head
    body: bytes
    hung_up: Callable[[float], bool]
    trace_parent: str | None = None
    claims: Mapping[str, Any] | None = None


class Stream(Protocol):
    """A body that is sent while it is made. ``close`` is called once, even if the body was never iterated."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. ``order_id`` is for the access log. ``close``: end the connection after it."""

    status: HTTPStatus
    body: bytes | Stream = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    order_id: str | None = None
    close: bool = False


class HttpError(Exception):
    """A request that is answered with an error. ``close``: it may not end where it seems to, so end the connection."""

    def __init__(
        self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None, *, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.close = close

    @property
    def response(self) -> Response:
        return replace(json_response(self.status, {"error": str(self)}, self.headers), close=self.close)


def unauthorised(message: str) -> HttpError:
    return HttpError(HTTPStatus.UNAUTHORIZED, message, {"WWW-Authenticate": "Bearer"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers a request. ``answer`` never raises; ``takes_json``: a request needs a JSON body."""

    answer: Callable[[Request], Response]
    takes_json: bool = False


FindEndpoint = Callable[[str, str], Endpoint]
"""What answers a method at a path. Raises `HttpError` 404 for an unknown path, 405 with Allow for an unknown method."""


def json_response(
    status: HTTPStatus, value: Any, headers: Mapping[str, str] | None = None, order_id: str | None = None
) -> Response:
    body = jsontext.dumps(value).encode()
    return Response(status, body, JSON, {**NOT_STORED, **(headers or {})}, order_id)


def headers_of(response: Response) -> dict[str, str]:
    """The headers of ``response``, however it travels."""
    content = {"Content-Type": response.content_type} if response.content_type else {}
    return {**SECURITY_HEADERS, **response.headers, **content}


def log_access(client: str, head: Head | None, response: Response, seconds: float) -> None:
    """Write the access log. ``head`` is None if none could be read."""
    line = f"{head.method} {head.target[:MAX_LOGGED_TARGET]}" if head else "-"
    extra = about(order_id=response.order_id)
    log.info("%s %s %d %.1f ms", client, line, response.status.value, seconds * 1000, extra=extra)


def parse_head(request: h11.Request, text: bytes) -> Head:
    """The head that h11 found in ``text``. Raises `HttpError` 400, 414, 431 or 505."""
    line, _, rest = text.partition(b"\n")
    if not request.http_version.startswith(b"1."):
        raise HttpError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 is supported")
    if len(line) >= MAX_REQUEST_LINE_BYTES:
        raise HttpError(HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.REQUEST_URI_TOO_LONG.phrase)
    if len(rest) > MAX_HEADER_BYTES or len(request.headers) > MAX_HEADERS:
        message = f"headers: must not be more than {MAX_HEADERS}, nor larger than {MAX_HEADER_BYTES} bytes"
        raise HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)
    if _AMBIGUOUS.search(text) or _CONTROL.search(text):
        raise HttpError(HTTPStatus.BAD_REQUEST, "malformed request line or header")
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in request.headers:
        key = name.decode()
        headers[key] = (*headers.get(key, ()), value.decode("latin-1"))
    head = Head(request.method.decode(), request.target.decode(), headers)
    if head.is_chunked and (head.length is not None or request.http_version == b"1.0"):
        message = "Transfer-Encoding: must not come with Content-Length, nor in HTTP/1.0"
        raise HttpError(HTTPStatus.BAD_REQUEST, message)
    _check_target(head)
    return head


def malformed(error: h11.RemoteProtocolError, head: Head | None, received: bytes) -> HttpError:
    """The answer to a request that h11 rejected after ``received``; ``head`` if it was complete by then."""
    match error.error_status_hint:
        case HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if head:
            return too_much_framing()
        case HTTPStatus.NOT_IMPLEMENTED:
            return HttpError(HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding: only chunked is supported")
        case HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            in_line = b"\n" not in received[:MAX_REQUEST_LINE_BYTES]
            status = HTTPStatus.REQUEST_URI_TOO_LONG if in_line else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            return HttpError(status, status.phrase)
    return HttpError(HTTPStatus.BAD_REQUEST, "malformed request")


def check_json(head: Head) -> None:
    """Raises `HttpError` 415 when the body is not announced as plain JSON in UTF-8."""
    if head.headers.get("content-encoding"):
        message, accepted = "Content-Encoding: send the body as it is", {"Accept-Encoding": "identity"}
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message, accepted)
    media_type, _, parameters = (head.only("Content-Type") or "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() != JSON or charset not in ("", "charset=utf-8"):
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type: must be {JSON}")


def check_expectation(head: Head) -> None:
    """Raises `HttpError` 417 when the client expects anything but a go-ahead for its body."""
    if (head.only("Expect") or "100-continue").lower() != "100-continue":
        raise HttpError(HTTPStatus.EXPECTATION_FAILED, "Expect: only 100-continue is supported")


def body_too_large() -> HttpError:
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: must not be larger than {MAX_BODY_BYTES} bytes")


def too_much_framing() -> HttpError:
    message = f"body: its chunks must not need more than {MAX_FRAMING_BYTES} bytes besides their content"
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


def _check_target(head: Head) -> None:
    host, absolute = head.only("Host"), _ABSOLUTE.fullmatch(head.target)
    if not absolute and not head.target.startswith("/") and (head.method, head.target) != ("OPTIONS", "*"):
        raise HttpError(HTTPStatus.BAD_REQUEST, "malformed request target")
    if (host is not None and not _is_host(host)) or (absolute and not _is_host(absolute[1])):
        raise HttpError(HTTPStatus.BAD_REQUEST, "Host: must be a name or an address, with an optional port")


def _is_host(text: str) -> bool:
    """Whether it is ``uri-host [":" port]`` (RFC 9112, 3.2), and not empty."""
    found = _HOST.fullmatch(text)
    if found and found[1]:
        try:
            IPv6Address(found[1])
        except AddressValueError:
            return False
    return found is not None


def _decoded(encoded: re.Match[str]) -> str:
    character = chr(int(encoded[1], 16))
    return character if _UNRESERVED.fullmatch(character) else encoded[0]
