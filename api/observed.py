"""What the API tells of the answers of its endpoints beside the access log: metrics, and a span of each POST.

A request that reaches no endpoint (no such path, malformed, too large) is in the access log only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from api.http_message import Application, Endpoint, HttpError, Request, Response
from shopflow.telemetry import TRACE_PARENT, Telemetry, well_formed

Answer = Callable[[Request], Response]


class Observed:
    """An `api.http_message.Application` that answers as ``inner`` does, and tells ``telemetry``."""

    def __init__(self, inner: Application, telemetry: Telemetry) -> None:
        self._inner = inner
        self._telemetry = telemetry

    def endpoint(self, method: str, path: str) -> Endpoint:
        found = self._inner.endpoint(method, path)
        traced = self._traced(found.answer, f"{method} {path}") if method == "POST" else found.answer
        return replace(found, answer=self._measured(traced))

    def _measured(self, answer: Answer) -> Answer:
        def measured(request: Request) -> Response:
            started = time.monotonic()
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            try:
                response = answer(request)
                status = response.status
                return response
            except HttpError as error:
                status = error.status
                raise
            finally:
                milliseconds = round((time.monotonic() - started) * 1000)
                our_fault = status >= HTTPStatus.INTERNAL_SERVER_ERROR
                self._telemetry.metrics.put(Requests=1, Errors=int(our_fault), LatencyMs=milliseconds)

        return measured

    def _traced(self, answer: Answer, name: str) -> Answer:
        def traced(request: Request) -> Response:
            [given, *_] = request.head.headers.get(TRACE_PARENT, (None,))
            span = self._telemetry.tracing.request(name, well_formed(given))
            try:
                response = answer(replace(request, trace_parent=span.trace_parent))
            except HttpError as error:
                # A server's span fails by the server's faults only (OpenTelemetry, HTTP semantic conventions).
                span.end(error if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else None)
                raise
            except Exception as error:
                span.end(error)
                raise
            span.end()
            return response

        return traced
