"""How a request proves that it is the operator's: by the token, or by the cookie of a sign-in, valid for twelve hours.

Nothing is stored: the cookie has the time at which it ends, signed with the token as the key.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import deque
from http import HTTPStatus

from api.http_message import Head, HttpError, unauthorised
from shopflow.clock import Clock

COOKIE = "ops"
SESSION_SECONDS = 12 * 3600
MAX_FAILURES = 10
FAILURES_SECONDS = 60
"""After `MAX_FAILURES` wrong tokens in that time, the next wrong one is 429. The right one is always accepted:
otherwise anybody could lock the operator out. The token's length protects it from being guessed."""
OFF = "the operator's page is off: set OPS_TOKEN to turn it on"
_ATTRIBUTES = "HttpOnly; SameSite=Strict; Path=/"
_MAX_DIGITS = 15
_OWN_SITES = frozenset({"same-origin", "none"})
"""Of Sec-Fetch-Site. ``none``: the user opened it, not a page. Another port of this host is only ``same-site``."""


class Sessions:
    """The operator's sessions. Without a ``token`` every call raises `HttpError` 401. Thread-safe."""

    def __init__(self, token: str | None, clock: Clock) -> None:
        self._token = token.encode() if token else None
        self._clock = clock
        self._failures: deque[int] = deque(maxlen=MAX_FAILURES)
        self._lock = threading.Lock()

    @property
    def enabled(self) -> bool:
        return self._token is not None

    def sign_in(self, token: str) -> str:
        """The Set-Cookie header of a new session. Raises `HttpError` 401 for a wrong token, 429 for too many."""
        self._check_token(token.encode(errors="surrogatepass"))
        ends = str(self._clock.now_ms() + SESSION_SECONDS * 1000)
        return f"{COOKIE}={ends}.{self._sign(ends)}; {_ATTRIBUTES}; Max-Age={SESSION_SECONDS}"

    def sign_out(self) -> str:
        """The Set-Cookie header that ends a session."""
        if not self.enabled:
            raise unauthorised(OFF)
        return f"{COOKIE}=; {_ATTRIBUTES}; Max-Age=0"

    def check(self, head: Head) -> None:
        """Check that the operator sent the request. Raises `HttpError` 401, and 429 for too many wrong tokens."""
        if not self.enabled:
            raise unauthorised(OFF)
        if any(self._is_valid(cookie) for cookie in _cookies(head)):
            return
        scheme, _, token = (head.only("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            raise unauthorised("sign in first, or send the operator's token: Authorization: Bearer …")
        self._check_token(_bytes(token.strip()))

    def _check_token(self, token: bytes) -> None:
        if self._token is None:
            raise unauthorised(OFF)
        if hmac.compare_digest(token, self._token):
            return
        with self._lock:
            now = self._clock.now_ms()
            if len(self._failures) == MAX_FAILURES and 0 <= now - self._failures[0] < FAILURES_SECONDS * 1000:
                message = "this is not the operator's token, and there were too many wrong ones: wait a minute"
                raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, message, {"Retry-After": str(FAILURES_SECONDS)})
            self._failures.append(now)
        raise unauthorised("this is not the operator's token")

    def _is_valid(self, cookie: str) -> bool:
        ends, _, signature = cookie.partition(".")
        if not (ends.isascii() and ends.isdecimal() and len(ends) <= _MAX_DIGITS):
            return False
        genuine = hmac.compare_digest(_bytes(signature), self._sign(ends).encode())
        return genuine and self._clock.now_ms() < int(ends)

    def _sign(self, ends: str) -> str:
        return hmac.digest(self._token or b"", f"operator's session until {ends}".encode(), hashlib.sha256).hex()


def check_same_origin(head: Head) -> None:
    """Raises `HttpError` 403 for a request that a browser sends for a page of another site.

    Browsers say so in Sec-Fetch-Site. Without it, Origin is compared with Host, which a proxy may have rewritten. A
    client that is no browser sends neither, and has no cookies that another site could abuse.
    """
    site, origin = head.only("Sec-Fetch-Site"), head.only("Origin")
    if site is not None:
        own = site.lower() in _OWN_SITES
    else:
        own = origin is None or origin.partition("://")[2].lower() == (head.only("Host") or "").lower()
    if not own:
        raise HttpError(HTTPStatus.FORBIDDEN, "refused: a page of another site sent this")


def _bytes(value: str) -> bytes:
    """The bytes of a header's value. From a socket each character is one byte; from Lambda it may be any character."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode(errors="surrogatepass")


def _cookies(head: Head) -> list[str]:
    pairs = ";".join(head.headers.get("cookie", ())).split(";")
    return [value.strip() for name, _, value in (pair.partition("=") for pair in pairs) if name.strip() == COOKIE]
