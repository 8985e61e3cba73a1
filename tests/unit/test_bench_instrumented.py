"""Calls are counted where they are made: in the clients of the service itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError

from bench.calls import Call
from bench.instrumented import CallLog, Conflicts

UPDATE: Any = {"TableName": "t", "Key": {"id": {"S": "1"}}, "UpdateExpression": "SET a = b"}


class Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> list[bytes]:
        return [self._body]


def client(service: str, answer: Callable[[Any], tuple[int, bytes]], *observers: Any) -> Any:
    """A client whose every request is answered by ``answer`` after the ``observers`` had a chance to."""
    made = boto3.session.Session("key", "secret", region_name="us-east-1").client(
        service,  # type: ignore[call-overload]
        endpoint_url="http://127.0.0.1:1",
        config=Config(retries={"mode": "standard", "total_max_attempts": 2}),
    )
    for observer in observers:
        observer.observe(made)

    def respond(request: Any, **_: Any) -> AWSResponse:
        status, body = answer(request)
        headers: Any = {"content-type": "application/x-amz-json-1.0"}
        return AWSResponse(request.url, status, headers, Raw(body))

    made.meta.events.register_last("before-send", respond)
    return made


@pytest.fixture
def logged(tmp_path: Path) -> tuple[CallLog, Callable[[], list[Call]]]:
    path = tmp_path / "a.calls"
    return CallLog(path), lambda: [Call.parse(line) for line in path.read_text().splitlines()]


Logged = tuple[CallLog, Callable[[], list[Call]]]


def test_a_write_is_logged_with_the_units_that_it_consumed(logged: Logged) -> None:
    log, calls = logged
    asked: list[bytes] = []

    def answer(request: Any) -> tuple[int, bytes]:
        asked.append(request.body)
        return 200, b'{"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 2.0}}'

    client("dynamodb", answer, log).update_item(**UPDATE)
    (call,) = calls()
    assert (call.operation, call.attempts, call.write_units, call.read_units, call.error) == ("UpdateItem", 1, 2, 0, "")
    assert b'"ReturnConsumedCapacity": "TOTAL"' in asked[0]


def test_units_of_a_batch_read_are_computed_when_the_endpoint_does_not_say(logged: Logged) -> None:
    log, calls = logged
    keys = [{"id": {"S": str(number)}} for number in range(3)]
    items: Any = {"t": {"Keys": keys, "ConsistentRead": True}, "u": {"Keys": keys[:1]}}
    client("dynamodb", lambda _: (200, b'{"Responses": {}}'), log).batch_get_item(RequestItems=items)
    (call,) = calls()
    assert (call.read_units, call.write_units) == (3.5, 0)


def test_received_messages_are_counted(logged: Logged) -> None:
    log, calls = logged
    two = b'{"Messages": [{"MessageId": "1", "Body": ""}, {"MessageId": "2", "Body": ""}]}'
    client("sqs", lambda _: (200, two), log).receive_message(QueueUrl="http://127.0.0.1:1/0/q")
    assert [call.entries for call in calls()] == [2]


def test_a_refused_call_is_logged_with_its_code_and_its_retries(logged: Logged) -> None:
    log, calls = logged
    throttled = b'{"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow down"}'
    with pytest.raises(ClientError):
        client("dynamodb", lambda _: (400, throttled), log).update_item(**UPDATE)
    (call,) = calls()
    assert (call.error, call.attempts) == ("ThrottlingException", 2)


def test_a_call_without_an_answer_is_logged_too(logged: Logged) -> None:
    log, calls = logged

    def no_answer(_: Any) -> tuple[int, bytes]:
        raise ConnectionError(error=OSError("gone"))

    with pytest.raises(ConnectionError):
        client("dynamodb", no_answer, log).update_item(**UPDATE)
    assert [(call.operation, call.error) for call in calls()] == [("UpdateItem", "ConnectionError")]


TRANSACTION: Any = [{"Update": UPDATE}, {"Update": {**UPDATE, "TableName": "u"}}]


def test_an_injected_conflict_looks_like_dynamodbs_own(tmp_path: Path) -> None:
    refusing = client("dynamodb", lambda _: (200, b"{}"), Conflicts(1.0, tmp_path / "lock"))
    with pytest.raises(refusing.exceptions.TransactionCanceledException) as caught:
        refusing.transact_write_items(TransactItems=TRANSACTION)
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == [
        "None",
        "TransactionConflict",
    ]


def test_a_transaction_that_overlaps_another_process_is_refused_and_one_after_it_is_not(tmp_path: Path) -> None:
    other = client("dynamodb", lambda _: (200, b"{}"), Conflicts(0.0, tmp_path / "lock"))
    refused: list[str] = []

    def meanwhile(_: Any) -> tuple[int, bytes]:
        with pytest.raises(other.exceptions.TransactionCanceledException):
            other.transact_write_items(TransactItems=TRANSACTION)
        refused.append("other")
        return 200, b"{}"

    client("dynamodb", meanwhile, Conflicts(0.0, tmp_path / "lock")).transact_write_items(TransactItems=TRANSACTION)
    assert refused == ["other"]
    other.transact_write_items(TransactItems=TRANSACTION)
