"""Who orders: anybody in any name, or the customer of a JSON Web Token (RFC 7519).

On Lambda API Gateway's authorizer checks the token. A process checks it itself, by the same rules (`api.tokens`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from api.http_message import HttpError, Request

CustomerOf = Callable[[Request], str | None]
"""The id of the customer who sent a request; None: as the body says. Raises `HttpError` 401 or `Unavailable`."""


def anybody(_: Request) -> None:
    """No token is needed."""


def of_authorizer(request: Request) -> str:
    """The customer in the claims that API Gateway found. A request without claims has bypassed the authorizer."""
    if request.claims is None:
        raise unauthorised("send your token: Authorization: Bearer …")
    return customer_in(request.claims)


def customer_in(claims: Mapping[str, Any]) -> str:
    customer = claims.get("sub")
    if not isinstance(customer, str):
        raise unauthorised("the token names no customer: it has no sub")
    return customer


def unauthorised(message: str) -> HttpError:
    return HttpError(HTTPStatus.UNAUTHORIZED, message, {"WWW-Authenticate": "Bearer"})
