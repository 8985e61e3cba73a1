"""The API behind an API Gateway HTTP API: events of payload format 2.0 to requests, responses to what it sends on.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from api.http_message import MAX_LOGGED_TARGET, Application, Head, HttpError, Request, Response, call, headers_of
from api.http_rules import MAX_BODY_BYTES, check_json, too_large
from shopflow.log import about

log = logging.getLogger(__name__)

STREAM_SECONDS = 1.0
"""For how long a stream goes on: its client gets it whole, when it has ended."""
RETRY = b"retry: 500\n\n"
"""Server-Sent Events: milliseconds after which the client is to connect anew. So it polls, without knowing."""

Event = Mapping[str, Any]
Answer = dict[str, Any]


def answer(application: Application, event: Event, now: Callable[[], float] = time.monotonic) -> Answer:
    """What ``application`` answers to the request in ``event``. ``now`` gives the seconds of a monotonic clock."""
    started = now()
    head = _head(event)
    response = _respond(application, head, event, lambda _: now() - started >= STREAM_SECONDS)
    body = _body_of(response, wanted=head.method != "HEAD")
    milliseconds = (now() - started) * 1000
    extra = about(order_id=response.order_id)
    target = head.target[:MAX_LOGGED_TARGET]
    client = event["requestContext"]["http"]["sourceIp"]
    log.info("%s %s %s %d %.1f ms", client, head.method, target, response.status.value, milliseconds, extra=extra)
    return _encode(response, body)


def _head(event: Event) -> Head:
    """API Gateway joins the values of a repeated header by commas, and keeps cookies apart."""
    headers = {name.lower(): (value,) for name, value in event["headers"].items()}
    if cookies := event.get("cookies"):
        headers["cookie"] = ("; ".join(cookies),)
    query = event.get("rawQueryString")
    target = f"{event['rawPath']}?{query}" if query else event["rawPath"]
    return Head(event["requestContext"]["http"]["method"], target, headers)


def _respond(application: Application, head: Head, event: Event, hung_up: Callable[[float], bool]) -> Response:
    try:
        endpoint = application.endpoint(head.method, head.path)
        body = _received(event)
        if endpoint.takes_json:
            check_json(head)
    except HttpError as error:
        return error.response
    return call(endpoint, Request(head, body, hung_up))


def _received(event: Event) -> bytes:
    text = event.get("body") or ""
    body = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode(errors="surrogatepass")
    if len(body) > MAX_BODY_BYTES:
        raise too_large(MAX_BODY_BYTES)
    return body


def _body_of(response: Response, *, wanted: bool) -> bytes:
    if isinstance(response.body, bytes):
        return response.body if wanted else b""
    with closing(response.body) as stream:
        return RETRY + b"".join(stream) if wanted else b""


def _encode(response: Response, body: bytes) -> Answer:
    """What is no text, such as a compressed body, travels as base64."""
    head = {"statusCode": response.status.value, "headers": headers_of(response)}
    try:
        return head | {"body": body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return head | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
