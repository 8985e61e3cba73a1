"""Any input gets an answer that the OpenAPI document knows, never a 500. Only what is answered 201 is saved."""

from __future__ import annotations

import gzip
import json
import logging
import re
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from api.http_server import BoundedServer
from tests.sizes import full
from tests.unit.api.contract import DOCUMENT, GENERAL_ERRORS, OPERATIONS, check_value
from tests.unit.api.hostile import HOSTILE
from tests.unit.api.shop import AS_OPERATOR, Answer, Client, Shop, serving
from tests.unit.api.test_http import until_closed

pytestmark = pytest.mark.timeout(300)
RAW_CASES = [300, pytest.param(10_000, marks=full)]
STATUSES = (
    {405}
    | GENERAL_ERRORS
    | {int(status) for operation in OPERATIONS for status in operation.content["responses"] if status != "default"}
)
MAY_BE_5XX = {501, 505}
"""The ports in memory are never unavailable, and there is room for every connection: a 503 would be a bug."""
ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]+\r\n((?:[A-Za-z-]+: [^\r\n]*\r\n)+)\r\n")
BEYOND_SCHEMAS = re.compile(r"more than 1000 of .* in all")
"""Refused for what JSON Schema cannot express: the sum of several lines."""
GO_AHEAD = b"HTTP/1.1 100 Continue\r\n\r\n"


def _schema(cases: int, cases_of_post: int) -> schemathesis.BaseSchema:
    # Its regular expressions (Rust's) know no surrogates, which no text that came as UTF-8 has anyway.
    text = json.dumps(DOCUMENT).replace(r"\\ud800-\\udfff", "")
    post = {"include-name": "POST /orders", "generation": {"max-examples": cases_of_post}}
    config = {
        "generation": {"max-examples": cases, "deterministic": True, "database": "none"},
        "operations": [post],
        # A document cannot say which products exist, which key was used before, nor which token is the operator's.
        "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "401", "404", "422", "429"]}},
    }
    return schemathesis.openapi.from_dict(json.loads(text), config=schemathesis.Config.from_dict(config))


@dataclass
class Tally:
    """What was asked and answered so far."""

    cases: int = 0
    answers: Counter[int] = field(default_factory=Counter)

    def count(self, *statuses: int) -> None:
        self.cases += 1
        self.answers.update(statuses)
        assert not [status for status in statuses if status >= 500 and status not in MAY_BE_5XX]


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    tally = Tally()
    yield tally
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        found = tally.answers[500] or "no"
        print(f"\n  {tally.cases} cases, {found} 500; answers: {dict(sorted(tally.answers.items()))}")  # noqa: T201


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with pytest.MonkeyPatch.context() as patch:
        # Otherwise most requests of the operator would be refused after so many wrong tokens.
        patch.setattr("api.ops.session.MAX_FAILURES", sys.maxsize)
        # The flow ends by itself soon, so that its answer can be read whole.
        patch.setattr("api.streams.FlowStream.limit_ms", 20)
        patch.setattr("api.streams.WAIT_SECONDS", 0.02)
        shop = Shop()
        shop.finish_an_order()
        yield shop


@pytest.fixture(scope="module")
def server(shop: Shop) -> Iterator[BoundedServer]:
    with serving(shop) as server:
        yield server


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def answers_as_documented(
    case: schemathesis.Case[Any], server: BoundedServer, session: requests.Session, tally: Tally
) -> None:
    # The body of a DELETE is not read.
    unread = case.method == "DELETE"
    excluded: list[schemathesis.CheckFunction] = [negative_data_rejection] if unread else []
    answer = case.call(
        server.url, session, headers=dict(AS_OPERATOR) if case.path.startswith(("/ops", "/try")) else None
    )
    if BEYOND_SCHEMAS.search(answer.text):
        excluded.append(positive_data_acceptance)
    case.validate_response(answer, excluded_checks=excluded)
    tally.count(answer.status_code)


test_every_operation_answers_as_documented = _schema(8, 40).parametrize()(answers_as_documented)
test_every_operation_answers_as_documented_in_more_cases = full(_schema(50, 200).parametrize()(answers_as_documented))


@pytest.mark.parametrize("cases", RAW_CASES)
def test_any_bytes_are_answered_by_the_document(
    cases: int, shop: Shop, server: BoundedServer, tally: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    saved, placed = len(shop.saved), 0

    @settings(max_examples=cases, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(HOSTILE)
    def attack(data: bytes) -> None:
        nonlocal placed
        answers = list(split(said_to(server, data)))
        tally.count(*(answer.status for answer in answers))
        for answer in answers:
            check(answer)
        placed += sum(answer.status == 201 and "Idempotent-Replayed" not in answer.headers for answer in answers)

    attack()
    assert len(shop.saved) - saved == placed > 0
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert Client(server).post().status == 201


def said_to(server: BoundedServer, data: bytes) -> bytes:
    """What the server answers to ``data`` alone."""
    with socket.create_connection(Client(server).address, timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return until_closed(connection)


def split(data: bytes) -> Iterator[Answer]:
    """The answers that ``data`` consists of."""
    while data := data.removeprefix(GO_AHEAD):
        head = ANSWER.match(data)
        assert head, data
        headers = {name.title(): value for name, _, value in (line.partition(": ") for line in _lines(head[2]))}
        data = data[head.end() :]
        bodiless = not data or data.startswith(b"HTTP/1.1 ")
        length = 0 if bodiless else int(headers.get("Content-Length", len(data)))
        assert len(data) >= length
        body = gzip.decompress(data[:length]) if length and "Content-Encoding" in headers else data[:length]
        yield Answer(int(head[1]), body.decode(), headers)
        data = data[length:]


def check(answer: Answer) -> None:
    """``answer`` is in the document. Random bytes do not say to which operation it belongs."""
    assert answer.status in STATUSES
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (answer.status == 405) <= ("Allow" in answer.headers)
    if answer.status == 201 or answer.status >= 400:
        schema = "placedOrder" if answer.status == 201 else "error"
        is_page = "html" in answer.headers["Content-Type"]  # the one to sign in
        if answer.text and not is_page:  # without a text it answers HEAD
            check_value(schema, json.loads(answer.text))


def _lines(head: bytes) -> list[str]:
    return head.decode("latin-1").split("\r\n")[:-1]
