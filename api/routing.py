"""From a request's method and path to what answers it, and from the errors of the use cases to HTTP."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from api.http_message import Endpoint, HttpError, Request, Response, Stream
from api.placing import KeyReused, ProductNotFound
from shopflow import jsontext
from shopflow.errors import InvalidRequest, Unavailable

log = logging.getLogger(__name__)

RETRY_AFTER = {"Retry-After": "1"}
EVENT_STREAM = "text/event-stream"
STREAMED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second has nginx, and others that took it over, pass each event on at once."""

Handler = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Route:
    """``handler`` is called with the request and the groups of ``path``."""

    method: str
    path: re.Pattern[str]
    handler: Handler
    takes_json: bool = False


def route(method: str, path: str, handler: Handler, *, takes_json: bool = False) -> Route:
    """``path`` is a regular expression."""
    return Route(method, re.compile(path), handler, takes_json)


class Router:
    """An `api.http_message.Application` of ``routes``."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)

    def endpoint(self, method: str, path: str) -> Endpoint:
        found = [(route, match) for route in self.routes if (match := route.path.fullmatch(path))]
        if not found and path != "*":
            raise HttpError(HTTPStatus.NOT_FOUND, f"no such path: {path}")
        allowed = _allowed({route.method for route, _ in found})
        if method == "OPTIONS":
            return Endpoint(lambda _: Response(HTTPStatus.NO_CONTENT, headers={"Allow": allowed}))
        for route, match in found:
            if route.method == ("GET" if method == "HEAD" else method):
                return Endpoint(_translating(route.handler, match.groups()), route.takes_json)
        message = f"{method} is not allowed here, but {allowed}"
        raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, message, {"Allow": allowed})


class StreamSlots:
    """So many streams at a time and no more."""

    def __init__(self, most: int) -> None:
        self._slots = threading.BoundedSemaphore(most)

    def answer(self, open_stream: Callable[[Callable[[], None]], Stream], order_id: str | None = None) -> Response:
        """The stream that ``open_stream(release)`` makes; it calls ``release`` once, when it is closed.

        Raises `HttpError` 503 when there is no place left.
        """
        if not self._slots.acquire(blocking=False):
            raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "too many streams: try again later", RETRY_AFTER)
        stream = open_stream(self._slots.release)
        return Response(HTTPStatus.OK, stream, EVENT_STREAM, STREAMED, order_id)


def json_body(request: Request) -> Any:
    """The value in a JSON body. Raises `InvalidRequest`."""
    try:
        return jsontext.loads(request.body)
    except ValueError as error:
        raise InvalidRequest(f"body: cannot be read as JSON: {error}") from None


def _allowed(methods: set[str]) -> str:
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set()) | {"OPTIONS"}))


def _translating(handler: Handler, arguments: tuple[Any, ...]) -> Callable[[Request], Response]:
    """``handler`` for one request, its errors told in HTTP."""

    def answer(request: Request) -> Response:
        try:
            return handler(request, *arguments)
        except ProductNotFound as error:
            raise HttpError(HTTPStatus.NOT_FOUND, str(error)) from error
        except KeyReused as error:
            raise HttpError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        except InvalidRequest as error:
            raise HttpError(HTTPStatus.BAD_REQUEST, str(error)) from error
        except Unavailable as error:
            raise _unavailable(error) from error

    return answer


def _unavailable(error: Unavailable) -> HttpError:
    # What AWS said is for the log, not for the client.
    log.warning("unavailable: %s", error)
    return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "a dependency is unavailable: try again", RETRY_AFTER)
