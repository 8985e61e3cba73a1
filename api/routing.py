"""From a request to its handler, from a handler's error to HTTP, and what telemetry hears of both."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from api.http_message import MAX_LOGGED_TARGET, Endpoint, Head, HttpError, Request, Response
from api.placing import KeyReused, ProductNotFound
from shopflow import jsontext
from shopflow.errors import InvalidRequest, Unavailable
from shopflow.telemetry import SILENT, TRACE_PARENT, Telemetry, well_formed

log = logging.getLogger(__name__)

RETRY_AFTER = {"Retry-After": "1"}

Handler = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Route:
    """``handler`` gets the request and the groups of ``path``, a regular expression, if none of ``checks`` raises."""

    method: str
    path: str
    handler: Handler
    takes_json: bool = False
    checks: Sequence[Callable[[Head], None]] = ()


class Router:
    """Finds what answers in ``routes``. It counts each answer; a POST is a span of the client's trace.

    Requests that reach no route are in the access log only.
    """

    def __init__(self, routes: Sequence[Route], telemetry: Telemetry = SILENT) -> None:
        self.routes = tuple(routes)
        self._telemetry = telemetry

    def endpoint(self, method: str, path: str) -> Endpoint:
        found = [(route, match) for route in self.routes if (match := re.fullmatch(route.path, path))]
        if not found and path != "*":
            raise HttpError(HTTPStatus.NOT_FOUND, f"no such path: {path}")
        allowed = _allowed({route.method for route, _ in found})
        if method == "OPTIONS":
            options = Response(HTTPStatus.NO_CONTENT, headers={"Allow": allowed})
            return Endpoint(partial(self._answer, Route(method, path, lambda _: options), ()))
        for route, match in found:
            if route.method == ("GET" if method == "HEAD" else method):
                return Endpoint(partial(self._answer, route, match.groups()), route.takes_json)
        message = f"{method} is not allowed here, only {allowed}"
        raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, message, {"Allow": allowed})

    def _answer(self, route: Route, arguments: Sequence[str], request: Request) -> Response:
        started = time.monotonic()
        head = request.head
        tracing = self._telemetry.tracing if head.method == "POST" else SILENT.tracing
        [trace_parent, *_] = head.headers.get(TRACE_PARENT, (None,))
        span = tracing.request(f"{head.method} {head.path}", well_formed(trace_parent))
        failure: Exception | None = None
        try:
            for check in route.checks:
                check(head)
            response = route.handler(replace(request, trace_parent=span.trace_parent), *arguments)
        except Exception as error:
            failure = error
            response = _http_error(error, request).response
        # Only the server's own faults are errors (OpenTelemetry, HTTP semantic conventions).
        our_fault = response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        span.end(failure if our_fault else None)
        milliseconds = round((time.monotonic() - started) * 1000)
        self._telemetry.metrics.put(Requests=1, Errors=int(our_fault), LatencyMs=milliseconds)
        return response


def json_body(request: Request) -> Any:
    """The value in a JSON body. Raises `InvalidRequest`."""
    try:
        return jsontext.loads(request.body)
    except ValueError as error:
        raise InvalidRequest(f"body: cannot be read as JSON: {error}") from None


def _allowed(methods: set[str]) -> str:
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set()) | {"OPTIONS"}))


def _http_error(error: Exception, request: Request) -> HttpError:
    """How ``error`` is answered. What AWS or Python said is for the log, not for the client."""
    match error:
        case HttpError():
            return error
        case ProductNotFound():
            return HttpError(HTTPStatus.NOT_FOUND, str(error))
        case KeyReused():
            return HttpError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        case InvalidRequest():
            return HttpError(HTTPStatus.BAD_REQUEST, str(error))
        case Unavailable():
            log.warning("unavailable: %s", error)
            return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "a dependency is unavailable: try again", RETRY_AFTER)
    log.error("%s %s failed", request.head.method, request.head.target[:MAX_LOGGED_TARGET], exc_info=error)
    return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
