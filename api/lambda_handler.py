"""The Order Service as two AWS Lambda functions: ``http`` behind an API Gateway HTTP API, ``relay`` on a schedule.

Neither is a long-lived process. So there are no streams: a stream would hold an invocation, and API Gateway delivers an
answer only as a whole. Pages ask again instead. The schedule's event says what the relay has to sweep. ``http`` gets
events of payload format 2.0:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Any

from api.http_message import (
    MAX_BODY_BYTES,
    FindEndpoint,
    Head,
    HttpError,
    Request,
    Response,
    body_too_large,
    check_json,
    headers_of,
    log_access,
    unauthorised,
)
from api.routes import anybody
from api.service import NAME, Parts, build_on_aws
from shopflow.config import configured_catalog, load_config
from shopflow.environment import adopt_environment
from shopflow.log import start_logging
from shopflow.messaging.sweep import Sweep
from workers.lambda_handler import LAST_TRY_SECONDS, Context

OVERLAP_MS = 10_000
"""Swept again each time, because a schedule is not exact to the second. A second look at an order has no effect."""
NO_STREAMS = "there are no streams here: ask for the order and its events again instead"


def http(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 (Lambda's signature)
    """Answer one request."""
    parts, _ = _service()
    return answer(parts.api.endpoint, event)


def relay(event: Mapping[str, Any], context: Context) -> None:
    """Sweep what has fallen due since the last scheduled event, and end in time for the next one.

    Raises `Unavailable`: Lambda then retries the event.
    """
    parts, interval_ms = _service()
    due_at = round(datetime.fromisoformat(event["time"]).timestamp() * 1000)
    parts.relay.sweep_once(
        Sweep(due_at - interval_ms - OVERLAP_MS, due_at),
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
    parts = build_on_aws(config, catalog, of_authorizer if config.tokens else anybody)
    return parts, round(config.relay_interval_seconds * 1000)


def of_authorizer(request: Request) -> Mapping[str, Any]:
    """The claims that API Gateway's authorizer found. A request without claims has bypassed it."""
    if request.claims is None:
        raise unauthorised("send your token: Authorization: Bearer …")
    return request.claims


def answer(find: FindEndpoint, event: Mapping[str, Any]) -> dict[str, Any]:
    """What is answered to the request in ``event``, in API Gateway's format."""
    started = time.monotonic()
    head = _head(event)
    try:
        endpoint = find(head.method, head.path)
        body = _body(event)
        if endpoint.takes_json:
            check_json(head)
        response = endpoint.answer(Request(head, body, lambda _: False, claims=_claims(event)))
        content = _content(response)
    except HttpError as error:
        response = error.response
        content = _content(response)
    log_access(event["requestContext"]["http"]["sourceIp"], head, response, time.monotonic() - started)
    sent = b"" if head.method == "HEAD" else content
    return {"statusCode": response.status.value, "headers": headers_of(response)} | _encoded(sent)


def _head(event: Mapping[str, Any]) -> Head:
    """API Gateway joins the values of a repeated header with commas, and keeps cookies apart."""
    headers = {name.lower(): (value,) for name, value in event["headers"].items()}
    if cookies := event.get("cookies"):
        headers["cookie"] = ("; ".join(cookies),)
    query = event.get("rawQueryString")
    target = f"{event['rawPath']}?{query}" if query else event["rawPath"]
    return Head(event["requestContext"]["http"]["method"], target, headers)


def _claims(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    claims: Mapping[str, Any] | None = event["requestContext"].get("authorizer", {}).get("jwt", {}).get("claims")
    return claims


def _body(event: Mapping[str, Any]) -> bytes:
    text = event.get("body") or ""
    body = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode(errors="surrogatepass")
    if len(body) > MAX_BODY_BYTES:
        raise body_too_large()
    return body


def _content(response: Response) -> bytes:
    """The body of ``response``. Closes a stream and raises `HttpError`."""
    if isinstance(response.body, bytes):
        return response.body
    response.body.close()
    raise HttpError(HTTPStatus.NOT_IMPLEMENTED, NO_STREAMS)


def _encoded(content: bytes) -> dict[str, Any]:
    """Content that is not text, such as a compressed page, travels as base64."""
    try:
        return {"body": content.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(content).decode(), "isBase64Encoded": True}
