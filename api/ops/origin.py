"""Refusing what another site's page makes a browser send."""

from __future__ import annotations

from http import HTTPStatus

from api.http_message import Head, HttpError

_FOREIGN = frozenset({"cross-site", "same-site"})
"""Another port of this host is the same site, yet not the same origin."""


def check_same_origin(head: Head) -> None:
    """Raises `HttpError` 403 for a request that a browser sends for a page of another origin.

    What is no browser sends neither header, and has no cookies that somebody else could make it use.
    """
    origin = head.only("Origin")
    foreign_origin = origin is not None and _host(origin) != (head.only("Host") or "").lower()
    if foreign_origin or (head.only("Sec-Fetch-Site") or "").lower() in _FOREIGN:
        raise HttpError(HTTPStatus.FORBIDDEN, "refused: this was sent by a page of another site")


def _host(origin: str) -> str:
    """``http://127.0.0.1:3000`` → ``127.0.0.1:3000``; empty for ``null``."""
    return origin.partition("://")[2].lower()
