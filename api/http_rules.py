"""What a request must be beside well framed. h11 parses; here is what it leaves to its user, and what it forgives.

It takes a bare LF, a folded header and a repeated length, which others read differently: request smuggling is made of
such differences, so here each of them is a 400.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from ipaddress import AddressValueError, IPv6Address

import h11

from api.http_message import JSON, Head, HttpError

MAX_REQUEST_LINE_BYTES = 8 * 1024
MAX_HEADER_BYTES = 16 * 1024
"""All headers of a request together."""
MAX_HEADERS = 64
MAX_HEAD_BYTES = MAX_REQUEST_LINE_BYTES + MAX_HEADER_BYTES
MAX_BODY_BYTES = 64 * 1024
MAX_FRAMING_BYTES = 16 * 1024
"""What a chunked body may need beside its content: the sizes of its chunks, their extensions and the trailers."""

_FORGIVEN = re.compile(
    rb"(?<!\r)\n"  # a line that ends without CR
    rb"|\n[ \t]"  # a header that goes on in the next line
    rb"|\ncontent-length:[^\n]*,"
    rb"|\ncontent-length:(?s:.*)\ncontent-length:",
    re.IGNORECASE,
)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?", re.ASCII)
_ABSOLUTE = re.compile(r"http://([^/?]*)(?:[/?].*)?", re.IGNORECASE)


def head_of(request: h11.Request, text: bytes) -> Head:
    """The head that h11 found in ``text``. Raises `HttpError` 400, 414, 431 or 505, which end the connection."""
    line, _, rest = text.partition(b"\n")
    if not request.http_version.startswith(b"1."):
        raise HttpError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 is spoken here", close=True)
    if len(line) >= MAX_REQUEST_LINE_BYTES:
        raise HttpError(HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.REQUEST_URI_TOO_LONG.phrase, close=True)
    if len(rest) > MAX_HEADER_BYTES or len(request.headers) > MAX_HEADERS:
        message = f"headers: must not be more than {MAX_HEADERS}, nor larger than {MAX_HEADER_BYTES} bytes"
        raise HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message, close=True)
    if _FORGIVEN.search(text) or _CONTROL.search(text):
        raise _bad("malformed request line or header")
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in request.headers:
        key = name.decode()
        headers[key] = (*headers.get(key, ()), value.decode("latin-1"))
    head = Head(request.method.decode(), request.target.decode(), headers)
    _check_framing(head, request.http_version)
    _check_target(head)
    return head


def malformed(error: h11.RemoteProtocolError, head: Head | None, received: bytes) -> HttpError:
    """What to answer to a request that h11 gave up, of which ``received`` came, and maybe its whole head."""
    match error.error_status_hint:
        case HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if head:
            return too_much_framing()
        case HTTPStatus.NOT_IMPLEMENTED:
            return HttpError(HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding: only chunked is known", close=True)
        case HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            in_line = b"\n" not in received[:MAX_REQUEST_LINE_BYTES]
            status = HTTPStatus.REQUEST_URI_TOO_LONG if in_line else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            return HttpError(status, status.phrase, close=True)
    return _bad("malformed request")


def announced_length(head: Head) -> int | None:
    """What Content-Length says."""
    length = head.only("Content-Length")
    return None if length is None else int(length)


def check_length(head: Head, most: int) -> None:
    """Raises `HttpError` 413 when a body of more than ``most`` bytes is announced."""
    if (announced_length(head) or 0) > most:
        raise too_large(most)


def too_large(most: int) -> HttpError:
    message = f"body: must not be larger than {most} bytes"
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, close=True)


def too_much_framing() -> HttpError:
    message = f"body: its chunks must not need more than {MAX_FRAMING_BYTES} bytes beside what they hold"
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, close=True)


def check_body_comes(head: Head) -> None:
    """Raises `HttpError` 411 when no body is announced."""
    if not is_chunked(head) and announced_length(head) is None:
        raise HttpError(HTTPStatus.LENGTH_REQUIRED, "Content-Length or Transfer-Encoding: is required", close=True)


def check_json(head: Head) -> None:
    """Check that a body is announced as plain JSON. Raises `HttpError` 415."""
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
        raise HttpError(HTTPStatus.EXPECTATION_FAILED, "Expect: only 100-continue is known")


def is_chunked(head: Head) -> bool:
    return "transfer-encoding" in head.headers


def _check_framing(head: Head, version: bytes) -> None:
    if is_chunked(head) and (announced_length(head) is not None or version == b"1.0"):
        raise _bad("Transfer-Encoding: must not come with Content-Length, nor in HTTP/1.0")


def _check_target(head: Head) -> None:
    host, absolute = head.only("Host"), _ABSOLUTE.fullmatch(head.target)
    if not absolute and not head.target.startswith("/") and (head.method, head.target) != ("OPTIONS", "*"):
        raise _bad("malformed request target")
    if (host is not None and not _is_host(host)) or (absolute and not _is_host(absolute[1])):
        raise _bad("Host: must be a name or an address, and a port if any")


def _is_host(text: str) -> bool:
    """Whether it is ``uri-host [":" port]`` (RFC 9112, 3.2), and not empty."""
    found = _HOST.fullmatch(text)
    if found and found[1]:
        try:
            IPv6Address(found[1])
        except AddressValueError:
            return False
    return found is not None


def _bad(message: str) -> HttpError:
    return HttpError(HTTPStatus.BAD_REQUEST, message, close=True)
