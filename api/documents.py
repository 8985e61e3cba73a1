"""Bytes that do not change while the process runs: the storefront's files, the catalogue, the OpenAPI document.

Each is kept in memory with its hash and its compressed form.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from api.http_message import JSON, NOT_STORED, HttpError, Request, Response

HTML = "text/html; charset=utf-8"
CONTENT_TYPES: Mapping[str, str] = {
    ".html": HTML,
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REVALIDATED = {"Cache-Control": "no-cache"}
HASH_CHARACTERS = 32
_REFUSED = re.compile(r"q=0(\.0*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of a document: its bytes and their strong validator (RFC 9110, 8.8.3)."""

    body: bytes
    etag: str
    headers: Mapping[str, str]


class Document:
    """``content`` as an answer to GET. Pages and their parts have a content security policy."""

    def __init__(self, content: bytes, content_type: str) -> None:
        compressed = gzip.compress(content, mtime=0)
        digest = hashlib.sha256(content).hexdigest()[:HASH_CHARACTERS]
        self._content_type = content_type
        self._plain = Variant(content, f'"{digest}"', {})
        self._gzip = Variant(compressed, f'"{digest}-gzip"', {"Content-Encoding": "gzip"})
        self._smaller = len(compressed) < len(content)
        policy = {} if content_type == JSON else {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        self._headers = {"Vary": "Accept-Encoding", **policy}

    def answer(self, request: Request) -> Response:
        """The document, or 304 when the client has it. The client may cache it, but must revalidate it each time."""
        variant = self._variant(request)
        headers = {**self._headers, **REVALIDATED, "ETag": variant.etag}
        if _has(request, variant.etag):
            return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(HTTPStatus.OK, variant.body, self._content_type, {**headers, **variant.headers})

    def answer_private(
        self, request: Request, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
    ) -> Response:
        """The document for this client only. It must not be cached."""
        variant = self._variant(request)
        all_headers = {**self._headers, **NOT_STORED, **variant.headers, **(headers or {})}
        return Response(status, variant.body, self._content_type, all_headers)

    def _variant(self, request: Request) -> Variant:
        return self._gzip if self._smaller and accepts_gzip(request) else self._plain


class Files:
    """The files of a folder and its subfolders, read once. So no request ever opens a file."""

    def __init__(self, folder: Path) -> None:
        files = sorted(file for file in folder.rglob("*") if file.suffix in CONTENT_TYPES)
        self._documents = {
            file.relative_to(folder).as_posix(): Document(file.read_bytes(), CONTENT_TYPES[file.suffix])
            for file in files
        }

    def page(self, name: str) -> Document:
        """Raises ``KeyError`` when there was no such file."""
        return self._documents[name]

    def part(self, request: Request, name: str) -> Response:
        """A file that pages include. Raises `HttpError` 404, also for pages: those have paths of their own."""
        document = None if name.endswith(".html") else self._documents.get(name)
        if document is None:
            raise HttpError(HTTPStatus.NOT_FOUND, f"no such file: {name}")
        return document.answer(request)


def accepts_gzip(request: Request) -> bool:
    """Whether Accept-Encoding names gzip and does not refuse it (RFC 9110, 12.5.3)."""
    for entry in ",".join(request.head.headers.get("accept-encoding", ())).split(","):
        coding, _, weight = entry.strip().lower().partition(";")
        if coding.strip() == "gzip":
            return not _REFUSED.fullmatch(weight.replace(" ", ""))
    return False


def _has(request: Request, etag: str) -> bool:
    """Whether If-None-Match names ``etag``, compared weakly (RFC 9110, 13.1.2)."""
    named = ",".join(request.head.headers.get("if-none-match", ()))
    return named.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in named.split(","))
