"""The Order Service as two AWS Lambda functions: ``http`` behind an API Gateway HTTP API, ``relay`` on a schedule.

Neither is a long-lived process. So a stream is cut into pieces that its client asks for one after the other, and the
schedule's event says what the relay has to sweep. ``http`` gets events of payload format 2.0:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from functools import cache
from typing import Any

from api.http_message import (
    MAX_BODY_BYTES,
    Application,
    Head,
    HttpError,
    Request,
    Response,
    body_too_large,
    check_json,
    headers_of,
    log_access,
)
from api.service import NAME, Parts, build, ports_on
from shopflow.aws.parameters import operators_token
from shopflow.config import adopt_environment, configured_catalog, load_config
from shopflow.log import start_logging
from shopflow.telemetry import telemetry_of
from workers.lambda_handler import LAST_TRY_SECONDS, Context

OVERLAP_MS = 10_000
"""Swept again each time, because a schedule is not exact to the second. Looking at an order twice has no effect."""
STREAM_SECONDS = 1.0
"""How long a stream goes on. API Gateway delivers it as a whole when it has ended."""
RETRY = b"retry: 500\n\n"
"""Server-Sent Events: the client reconnects after so many milliseconds. So it polls without knowing."""


def http(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 (Lambda's signature)
    """Answer one request."""
    parts, _ = _service()
    return answer(parts.api, event)


def relay(event: Mapping[str, Any], context: Context) -> None:
    """Sweep what has fallen due since the last scheduled event, and end in time for the next one.

    Raises `Unavailable`: Lambda then retries the event.
    """
    parts, interval_ms = _service()
    due_at = round(datetime.fromisoformat(event["time"]).timestamp() * 1000)
    parts.relay.sweep_between(
        due_at - interval_ms - OVERLAP_MS,
        due_at,
        lambda: context.get_remaining_time_in_millis() >= LAST_TRY_SECONDS * 1000,
    )


@cache
def _service() -> tuple[Parts, int]:
    """The service's parts, and the milliseconds between two invocations of its relay.

    Built at the first invocation and kept as long as Lambda keeps the process.
    """
    env = adopt_environment()
    config, catalog = load_config(env), configured_catalog(env)
    start_logging(catalog.services[NAME], config.log_format)
    telemetry = telemetry_of(catalog.services[NAME], config)
    parts = build(catalog, ports_on(config), ops_token=operators_token(config), telemetry=telemetry)
    return parts, round(config.relay_interval_seconds * 1000)


def answer(application: Application, event: Mapping[str, Any]) -> dict[str, Any]:
    """What ``application`` answers to the request in ``event``, in API Gateway's format."""
    started = time.monotonic()
    head = _head(event)
    try:
        endpoint = application.endpoint(head.method, head.path)
        body = _body(event)
        if endpoint.takes_json:
            check_json(head)
        response = endpoint.answer(Request(head, body, lambda _: time.monotonic() - started >= STREAM_SECONDS))
    except HttpError as error:
        response = error.response
    content = _content(response, wanted=head.method != "HEAD")
    log_access(event["requestContext"]["http"]["sourceIp"], head, response, time.monotonic() - started)
    return {"statusCode": response.status.value, "headers": headers_of(response)} | _encoded(content)


def _head(event: Mapping[str, Any]) -> Head:
    """API Gateway joins the values of a repeated header with commas, and keeps cookies apart."""
    headers = {name.lower(): (value,) for name, value in event["headers"].items()}
    if cookies := event.get("cookies"):
        headers["cookie"] = ("; ".join(cookies),)
    query = event.get("rawQueryString")
    target = f"{event['rawPath']}?{query}" if query else event["rawPath"]
    return Head(event["requestContext"]["http"]["method"], target, headers)


def _body(event: Mapping[str, Any]) -> bytes:
    text = event.get("body") or ""
    body = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode(errors="surrogatepass")
    if len(body) > MAX_BODY_BYTES:
        raise body_too_large(MAX_BODY_BYTES)
    return body


def _content(response: Response, *, wanted: bool) -> bytes:
    if isinstance(response.body, bytes):
        return response.body if wanted else b""
    with closing(response.body) as stream:
        return RETRY + b"".join(stream) if wanted else b""


def _encoded(content: bytes) -> dict[str, Any]:
    """Content that is not text, such as a compressed page, travels as base64."""
    try:
        return {"body": content.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(content).decode(), "isBase64Encoded": True}
