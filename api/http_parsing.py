"""Reading a request head, strictly by RFC 9112.

`http.server` parses heads with the e-mail parser, which forgives what request smuggling is made of: a bare CR, a blank
before the colon, a line without a colon that ends the headers early. Here each of them is a 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

from api.http_message import JSON, Head, HttpError

MAX_REQUEST_LINE_BYTES = 8 * 1024
MAX_HEADER_BYTES = 16 * 1024
"""All headers of a request together."""
MAX_HEADERS = 64
MAX_LENGTH_DIGITS = 12
"""More digits than any body has that is not too large."""

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\r\n")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS = re.compile(r"[0-9]+", re.ASCII)

ReadLine = Callable[[int], bytes]


def read_head(readline: ReadLine) -> Head:
    """The next request's head. ``readline(most)`` gives up to ``most`` bytes, up to and with the next LF.

    Raises ``EOFError`` when the input ends too soon, `HttpError` 400, 414, 431 or 505 for what is no head of HTTP/1.
    """
    match = _REQUEST_LINE.fullmatch(_request_line(readline))
    if not match:
        raise _bad("malformed request line")
    method, target = match[1].decode(), match[2].decode()
    version = (int(match[3]), int(match[4]))
    if version[0] != 1:
        raise HttpError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 is spoken here", close=True)
    head = Head(method, target, (1, min(version[1], 1)), _read_headers(readline))
    if head.only("Host") is None and head.version == (1, 1):
        raise _bad("Host: is missing")
    if not target.startswith(("/", "http://")) and (method, target) != ("OPTIONS", "*"):
        raise _bad("malformed request target")
    return head


def body_length(head: Head, most: int) -> int | None:
    """The length of the body that follows ``head``; None if none is announced.

    Raises `HttpError`, always ending the connection: 400 when it cannot be told, 411 for a transfer coding (which no
    body this small needs), 413 when it is more than ``most`` bytes.
    """
    length = head.only("Content-Length")
    if "transfer-encoding" in head.headers:
        if length is not None:
            raise _bad("Content-Length: must not come with Transfer-Encoding")
        raise HttpError(HTTPStatus.LENGTH_REQUIRED, "Transfer-Encoding: send a Content-Length instead", close=True)
    if length is None:
        return None
    if not _DIGITS.fullmatch(length):
        raise _bad("Content-Length: must be a number")
    if len(length) > MAX_LENGTH_DIGITS or int(length) > most:
        message = f"body: must not be larger than {most} bytes"
        raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, close=True)
    return int(length)


def check_json(head: Head, length: int | None) -> None:
    """Check that a JSON body is announced. Raises `HttpError` 411 or 415."""
    if length is None:
        raise HttpError(HTTPStatus.LENGTH_REQUIRED, "Content-Length: is required", close=True)
    media_type, _, parameters = (head.only("Content-Type") or "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() != JSON or charset not in ("", "charset=utf-8"):
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type: must be {JSON}")


def expects_continue(head: Head) -> bool:
    """Whether the client waits for a go-ahead before it sends the body. Raises `HttpError` 417 for anything else."""
    expectation = head.only("Expect")
    if expectation is None or head.version == (1, 0):
        return False
    if expectation.lower() != "100-continue":
        raise HttpError(HTTPStatus.EXPECTATION_FAILED, "Expect: only 100-continue is known")
    return True


def _request_line(readline: ReadLine) -> bytes:
    line = _line(readline, MAX_REQUEST_LINE_BYTES, HTTPStatus.REQUEST_URI_TOO_LONG)
    # RFC 9112 2.2: a client may send an empty line too many after a body.
    return _line(readline, MAX_REQUEST_LINE_BYTES, HTTPStatus.REQUEST_URI_TOO_LONG) if line == b"\r\n" else line


def _read_headers(readline: ReadLine) -> dict[str, tuple[str, ...]]:
    headers: dict[str, tuple[str, ...]] = {}
    left = MAX_HEADER_BYTES
    for _ in range(MAX_HEADERS + 1):
        line = _line(readline, left, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if line == b"\r\n":
            return headers
        left -= len(line)
        name, value = _header(line)
        headers[name] = (*headers.get(name, ()), value)
    raise HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEADERS} headers", close=True)


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.removesuffix(b"\r\n").partition(b":")
    if not colon or not line.endswith(b"\r\n") or not _NAME.fullmatch(name) or _CONTROL.search(value):
        raise _bad("malformed header")
    return name.decode().lower(), value.strip(b" \t").decode("latin-1")


def _line(readline: ReadLine, most: int, too_long: HTTPStatus) -> bytes:
    line = readline(most + 1)
    if len(line) > most:
        raise HttpError(too_long, too_long.phrase, close=True)
    if not line.endswith(b"\n"):
        raise EOFError("the connection ended within a request")
    return line


def _bad(message: str) -> HttpError:
    return HttpError(HTTPStatus.BAD_REQUEST, message, close=True)
