"""The check of a JSON Web Token in a process. Lambda does not import this: there API Gateway checks."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

import jwt

from api.http_message import Request, unauthorised
from shopflow.clock import Clock
from shopflow.config import TokenSettings
from shopflow.errors import Unavailable

ALGORITHMS = ("RS256", "RS384", "RS512")
"""API Gateway accepts RSA only."""
KEYS_MS = 3_600_000
"""How long the issuer's keys are used before they are read again."""
PAUSE_MS = 10_000
"""The least time between two reads of the keys: a client can name any number of keys that do not exist."""
READ_SECONDS = 2.0
MAX_BYTES = 256 * 1024


class TokenCheck:
    """The claims in a request's bearer token. Thread-safe. The rules are API Gateway's:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
    """

    def __init__(self, settings: TokenSettings, clock: Clock) -> None:
        self._settings = settings
        self._keys = IssuerKeys(settings.issuer, clock)

    def __call__(self, request: Request) -> Mapping[str, Any]:
        scheme, _, token = (request.head.only("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            raise unauthorised("send your token: Authorization: Bearer …")
        try:
            return self._claims(token.strip())
        except (jwt.PyJWTError, ValueError) as error:
            is_said = isinstance(error, jwt.PyJWTError) and type(error) is not jwt.DecodeError
            raise unauthorised(f"the token is refused: {error if is_said else 'it is no JSON Web Token'}") from None

    def _claims(self, token: str) -> Mapping[str, Any]:
        key = self._keys.key(jwt.get_unverified_header(token).get("kid"))
        rules: Any = {"require": ["exp", "iss", "sub"], "verify_aud": False}
        claims: dict[str, Any] = jwt.decode(token, key, ALGORITHMS, rules, issuer=self._settings.issuer)
        audience = claims.get("aud", claims.get("client_id"))
        named = audience if isinstance(audience, list) else [audience]
        if self._settings.audiences.isdisjoint(map(str, named)):
            raise jwt.InvalidAudienceError("it is for another audience")
        return claims


class IssuerKeys:
    """The public keys of ``issuer``, by id, as its OpenID configuration says."""

    def __init__(self, issuer: str, clock: Clock) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._read_at = -KEYS_MS
        self._failure: str | None = None
        self._lock = threading.Lock()

    def key(self, key_id: str | None) -> jwt.PyJWK:
        """Raises `jwt.InvalidKeyError` for an unknown key, `Unavailable` when the issuer cannot be asked for it."""
        with self._lock:
            age = self._clock.now_ms() - self._read_at
            if age > KEYS_MS or (key_id not in self._keys and age > PAUSE_MS):
                self._read()
            if key_id in self._keys:
                return self._keys[key_id]
            if self._failure:
                raise Unavailable(self._failure)
            raise jwt.InvalidKeyError("its issuer has no such key")

    def _read(self) -> None:
        self._read_at = self._clock.now_ms()
        try:
            configuration = _json(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            found = jwt.PyJWKSet.from_dict(_json(configuration["jwks_uri"]))
        except (OSError, HTTPException, ValueError, LookupError, TypeError, jwt.PyJWTError) as error:
            self._failure = f"the keys of {self._issuer} cannot be read: {error!r}"
            return
        self._keys = {key.key_id: key for key in found.keys if key.key_id}
        self._failure = None


def _json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=READ_SECONDS) as answer:  # noqa: S310 - of the configured issuer
        return json.loads(answer.read(MAX_BYTES))
