"""Refusing what another site's page makes a browser send."""

from __future__ import annotations

from http import HTTPStatus

from api.http_message import Head, HttpError

_OWN = frozenset({"same-origin", "none"})
"""``none``: the user asked for it, not a page. Another port of this host is ``same-site``, yet not the same origin."""


def check_same_origin(head: Head) -> None:
    """Raises `HttpError` 403 for a request that a browser sends for a page of another origin.

    The browser says so itself, where it does (Sec-Fetch-Site). Else Origin is compared with Host, which a proxy may
    have rewritten. What is no browser sends neither header, and has no cookies that somebody else could make it use.
    """
    site, origin = head.only("Sec-Fetch-Site"), head.only("Origin")
    if site is not None:
        own = site.lower() in _OWN
    else:
        own = origin is None or _host(origin) == (head.only("Host") or "").lower()
    if not own:
        raise HttpError(HTTPStatus.FORBIDDEN, "refused: this was sent by a page of another site")


def _host(origin: str) -> str:
    """``http://127.0.0.1:3000`` → ``127.0.0.1:3000``; empty for ``null``."""
    return origin.partition("://")[2].lower()
