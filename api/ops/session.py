"""Who is the operator: whoever knows the token, and for twelve hours the browser that signed in with it.

Nothing is stored: the cookie carries its own end, sealed with a key that is the token.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import deque
from http import HTTPStatus

from api.http_message import Head, HttpError
from shopflow.clock import Clock

COOKIE = "ops"
SESSION_SECONDS = 12 * 3600
MAX_FAILURES = 10
FAILURES_SECONDS = 60
"""After so many wrong tokens in that time the next wrong one is 429. The right one is always taken: else anybody could
lock the operator out. What keeps the token from being guessed is its length."""
_ATTRIBUTES = "HttpOnly; SameSite=Strict; Path=/ops"
_MAX_DIGITS = 15
OFF = "the operator's page is off: it needs OPS_TOKEN to be set"


class Sessions:
    """Thread-safe. ``token`` None: there is no operator, and every call raises `HttpError` 401."""

    def __init__(self, token: str | None, clock: Clock) -> None:
        self._token = token.encode() if token else None
        self._clock = clock
        self._failures: deque[int] = deque(maxlen=MAX_FAILURES)
        self._lock = threading.Lock()

    @property
    def on(self) -> bool:
        """Whether there is an operator at all."""
        return self._token is not None

    def sign_in(self, token: str) -> str:
        """The Set-Cookie header of a new session. Raises `HttpError` 401 for a wrong token, 429 for too many."""
        self._check_token(token.encode(errors="surrogatepass"))
        ends = str(self._clock.now_ms() + SESSION_SECONDS * 1000)
        return f"{COOKIE}={ends}.{self._seal(ends)}; {_ATTRIBUTES}; Max-Age={SESSION_SECONDS}"

    def sign_out(self) -> str:
        """The Set-Cookie header that ends a session."""
        if not self.on:
            raise _unauthorised(OFF)
        return f"{COOKIE}=; {_ATTRIBUTES}; Max-Age=0"

    def check(self, head: Head) -> None:
        """Check that the request is the operator's. Raises `HttpError` 401, and 429 for too many wrong tokens."""
        if self._token is None:
            raise _unauthorised(OFF)
        if any(self._is_valid(cookie) for cookie in _cookies(head)):
            return
        scheme, _, token = (head.only("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthorised("sign in first, or send the operator's token: Authorization: Bearer …")
        self._check_token(_bytes(token.strip()))

    def _check_token(self, token: bytes) -> None:
        if self._token is None:
            raise _unauthorised(OFF)
        if hmac.compare_digest(token, self._token):
            return
        with self._lock:
            now = self._clock.now_ms()
            if len(self._failures) == MAX_FAILURES and 0 <= now - self._failures[0] < FAILURES_SECONDS * 1000:
                message = "this is not the operator's token, and too many others were not: wait a minute"
                raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, message, {"Retry-After": str(FAILURES_SECONDS)})
            self._failures.append(now)
        raise _unauthorised("this is not the operator's token")

    def _is_valid(self, cookie: str) -> bool:
        ends, _, seal = cookie.partition(".")
        if not (ends.isascii() and ends.isdecimal() and len(ends) <= _MAX_DIGITS):
            return False
        genuine = hmac.compare_digest(_bytes(seal), self._seal(ends).encode())
        return genuine and self._clock.now_ms() < int(ends)

    def _seal(self, ends: str) -> str:
        return hmac.digest(self._token or b"", f"operator's session until {ends}".encode(), hashlib.sha256).hex()


def _bytes(value: str) -> bytes:
    """A header's value as it was sent. From a socket each character is a byte; Lambda's may be any."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode(errors="surrogatepass")


def _cookies(head: Head) -> list[str]:
    """The values of the cookies of our name."""
    pairs = ";".join(head.headers.get("cookie", ())).split(";")
    return [value.strip() for name, _, value in (pair.partition("=") for pair in pairs) if name.strip() == COOKIE]


def _unauthorised(message: str) -> HttpError:
    return HttpError(HTTPStatus.UNAUTHORIZED, message, {"WWW-Authenticate": "Bearer"})
