"""Which rights a call needs, by AWS's own rules."""

from __future__ import annotations

from typing import Any

import pytest

from tests.iam.guarded import in_its_words
from tests.iam.rights import Place, Right, granted_by, needed_by

PLACE = Place("eu-west-1", "123456789012")
TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/t"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:q"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:events"
QUEUE_URL = {"QueueUrl": "http://127.0.0.1:4566/123456789012/q"}


@pytest.mark.parametrize(
    ("service", "operation", "params", "needed"),
    [
        ("dynamodb", "GetItem", {"TableName": "t"}, {("dynamodb:GetItem", TABLE)}),
        ("dynamodb", "Scan", {"TableName": "t", "IndexName": "i"}, {("dynamodb:Scan", f"{TABLE}/index/i")}),
        (
            "dynamodb",
            "BatchGetItem",
            {"RequestItems": {"t": {}, "u": {}}},
            {("dynamodb:BatchGetItem", TABLE), ("dynamodb:BatchGetItem", f"{TABLE[:-1]}u")},
        ),
        (
            "dynamodb",
            "TransactWriteItems",
            {"TransactItems": [{"Update": {"TableName": "t"}}, {"Delete": {"TableName": "u"}}]},
            {("dynamodb:UpdateItem", TABLE), ("dynamodb:DeleteItem", f"{TABLE[:-1]}u")},
        ),
        (
            "dynamodb",
            "BatchExecuteStatement",
            {
                "Statements": [
                    {"Statement": "INSERT INTO \"t\" VALUE {'a': ?}"},
                    {"Statement": "DELETE FROM \"t\" WHERE a = 'b'"},
                    {"Statement": 'UPDATE "t" SET a = 1'},
                    {"Statement": 'SELECT * FROM "t"'},
                ]
            },
            {(f"dynamodb:PartiQL{verb}", TABLE) for verb in ("Insert", "Delete", "Update", "Select")},
        ),
        ("sqs", "ReceiveMessage", QUEUE_URL, {("sqs:ReceiveMessage", QUEUE)}),
        ("sqs", "DeleteMessageBatch", QUEUE_URL, {("sqs:DeleteMessage", QUEUE)}),
        ("sqs", "ChangeMessageVisibilityBatch", QUEUE_URL, {("sqs:ChangeMessageVisibility", QUEUE)}),
        ("sns", "PublishBatch", {"TopicArn": TOPIC}, {("sns:Publish", TOPIC)}),
    ],
)
def test_a_call_needs_the_actions_that_aws_names_for_it(
    service: str, operation: str, params: dict[str, Any], needed: set[tuple[str, str]]
) -> None:
    assert needed_by(service, operation, params, PLACE) == {Right(*right) for right in needed}


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("dynamodb", "ExportTableToPointInTime", {"TableArn": TABLE}),
        ("dynamodb", "BatchExecuteStatement", {"Statements": [{"Statement": "EXISTS(SELECT 1)"}]}),
        ("sqs", "ListQueues", {}),
        ("ses", "SendEmail", {}),
    ],
)
def test_a_call_that_no_rule_covers_is_an_error_not_a_right_less(
    service: str, operation: str, params: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="no rule says"):
        needed_by(service, operation, params, PLACE)


@pytest.mark.parametrize(
    "changed",
    [
        {"Action": "sqs:*"},
        {"Action": ["sqs:ReceiveMessage", "sqs:Delete*"]},
        {"Resource": "*"},
        {"Resource": f"{QUEUE}*"},
        {"Effect": "Deny"},
    ],
)
def test_a_policy_with_a_wildcard_or_a_refusal_is_no_list_of_rights(changed: dict[str, Any]) -> None:
    statement = {"Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": QUEUE}
    assert granted_by({"Statement": [statement]}) == {Right("sqs:ReceiveMessage", QUEUE)}
    with pytest.raises(ValueError, match="not a list of single rights"):
        granted_by({"Statement": [statement | changed]})


def test_only_the_four_actions_that_the_emulator_calls_otherwise_are_said_in_its_words() -> None:
    rights = {
        Right("sqs:ReceiveMessage", QUEUE),
        Right("sqs:DeleteMessage", QUEUE),
        Right("sqs:ChangeMessageVisibility", QUEUE),
        Right("sns:Publish", TOPIC),
        Right("dynamodb:PartiQLInsert", TABLE),
        Right("dynamodb:GetItem", TABLE),
    }
    assert {(said["Action"], said["Resource"]) for said in in_its_words(rights)} == {
        ("sqs:DeleteMessageBatch", QUEUE),
        ("sqs:ChangeMessageVisibilityBatch", QUEUE),
        ("sns:PublishBatch", TOPIC),
        ("dynamodb:BatchExecuteStatement", "*"),
    }
