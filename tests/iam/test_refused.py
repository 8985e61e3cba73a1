"""A service is refused what it has no right to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.services import ORDER
from shopflow.catalog import load_catalog
from tests.iam.guarded import OPERATOR, RELAY, Guarded
from tests.iam.rights import Right, names

ROLES = [*load_catalog().services, RELAY]
REFUSED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}
HARMLESS_TO_EVENTS = {"dynamodb:GetItem", "dynamodb:PartiQLInsert", "dynamodb:Query"}
NO_SUCH_KEY = {"S": "no-such-key"}
Call = Callable[[Any, str], object]


@pytest.mark.parametrize("role", [*ROLES, OPERATOR])
def test_a_role_is_refused_every_right_that_it_does_not_have_and_no_other(guard: Guarded, role: str) -> None:
    own = guard.granted(role) | (guard.granted(RELAY) if role == ORDER else frozenset())
    rights = frozenset().union(*map(guard.granted, [*ROLES, OPERATOR]))
    if any(_is_statement(right) for right in own):  # then the emulator allows every statement (`tests.iam.guarded`)
        rights = frozenset(right for right in rights if right in own or not _is_statement(right))
    refused = [right for right in rights if _attempt(guard, role, right) in REFUSED]
    assert names(refused) == names(rights - own)


@pytest.mark.parametrize("role", [*ROLES, OPERATOR])
def test_nobody_may_change_or_delete_an_event(guard: Guarded, role: str) -> None:
    events = guard.place.table(guard.live.config.resources.events_table)
    assert {right.action for right in guard.granted(role) if right.resource == events} <= HARMLESS_TO_EVENTS
    client = guard.client("dynamodb", role)
    name = guard.live.config.resources.events_table
    for destroy in DESTRUCTION:
        with pytest.raises(ClientError, match="is not authorized to perform"):
            destroy(client, name)


def test_only_the_audit_service_may_run_a_statement_on_the_events_and_only_an_insert(guard: Guarded) -> None:
    """In the policies: the emulator checks neither the table of a statement nor its kind (`tests.iam.guarded`)."""
    events = guard.place.table(guard.live.config.resources.events_table)
    rights = [(role, right) for role in [*ROLES, OPERATOR] for right in guard.granted(role)]
    statements = [(role, right.action) for role, right in rights if right.resource == events and _is_statement(right)]
    assert statements == [("audit", "dynamodb:PartiQLInsert")]


def test_unknown_credentials_are_refused(guard: Guarded) -> None:
    nobody = boto3.session.Session("AKIAIOSFODNN7EXAMPLE", "no-secret")
    client = nobody.client("dynamodb", region_name=guard.place.region, endpoint_url=guard.live.config.endpoint_url)
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        client.scan(TableName=guard.live.config.resources.orders_table)


def _is_statement(right: Right) -> bool:
    return right.action.startswith("dynamodb:PartiQL")


def _attempt(guard: Guarded, role: str, right: Right) -> str:
    """Make a call that needs the right, in the role. Returns the code of the error; "" when there is none."""
    try:
        CALLS[right.action](guard.client(right.action.split(":")[0], role), _name(guard, right))
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def _name(guard: Guarded, right: Right) -> str:
    """What a call names the resource by."""
    name = right.resource.rsplit(":", 1)[1].removeprefix("table/")
    if right.action.startswith("sqs:"):
        return f"{guard.live.config.endpoint_url}/{guard.place.account}/{name}"
    return right.resource if right.action.startswith("sns:") else name


def _scan(client: Any, name: str) -> object:
    table, _, index = name.partition("/index/")
    return client.scan(TableName=table, **({"IndexName": index} if index else {}))


def _key(name: str) -> dict[str, Any]:
    """A key of that table which no item has."""
    if name.endswith("-events"):
        return {"orderId": NO_SUCH_KEY, "eventId": NO_SUCH_KEY}
    return {"productId" if name.endswith("-inventory") else "orderId": NO_SUCH_KEY}


def _insert(client: Any, name: str) -> object:
    statement = f"INSERT INTO \"{name}\" VALUE {{'orderId': 'no-such-key', 'eventId': 'no-such-key'}}"
    return client.batch_execute_statement(Statements=[{"Statement": statement}])


def _update(client: Any, name: str) -> object:
    key = " AND ".join(f"\"{attribute}\" = 'no-such-key'" for attribute in _key(name))
    return client.batch_execute_statement(Statements=[{"Statement": f'UPDATE "{name}" REMOVE "nothing" WHERE {key}'}])


CALLS: dict[str, Call] = {
    "dynamodb:BatchGetItem": lambda client, name: client.batch_get_item(RequestItems={name: {"Keys": [_key(name)]}}),
    "dynamodb:GetItem": lambda client, name: client.get_item(TableName=name, Key=_key(name)),
    "dynamodb:PartiQLInsert": _insert,
    "dynamodb:PartiQLUpdate": _update,
    "dynamodb:PutItem": lambda client, name: client.put_item(TableName=name, Item=_key(name)),
    "dynamodb:Query": lambda client, name: client.query(
        TableName=name, KeyConditionExpression="orderId = :id", ExpressionAttributeValues={":id": NO_SUCH_KEY}
    ),
    "dynamodb:Scan": _scan,
    "dynamodb:UpdateItem": lambda client, name: client.update_item(
        TableName=name,
        Key=_key(name),
        UpdateExpression="REMOVE nothing",
        ConditionExpression="attribute_exists(nothing)",
    ),
    "ses:SendEmail": lambda client, name: client.send_email(
        Source=f"nobody@{name.partition('/')[2]}",
        Destination={"ToAddresses": ["nobody@shop.example"]},
        Message={"Subject": {"Data": "nothing"}, "Body": {"Text": {"Data": "nothing"}}},
    ),
    "sns:Publish": lambda client, name: client.publish(TopicArn=name, Message="nothing"),
    "sqs:ChangeMessageVisibility": lambda client, name: client.change_message_visibility(
        QueueUrl=name, ReceiptHandle="none", VisibilityTimeout=0
    ),
    "sqs:DeleteMessage": lambda client, name: client.delete_message(QueueUrl=name, ReceiptHandle="none"),
    "sqs:GetQueueAttributes": lambda client, name: client.get_queue_attributes(QueueUrl=name, AttributeNames=["All"]),
    "sqs:ReceiveMessage": lambda client, name: client.receive_message(
        QueueUrl=name, VisibilityTimeout=0, WaitTimeSeconds=0
    ),
    "sqs:SendMessage": lambda client, name: client.send_message(QueueUrl=name, MessageBody="nothing"),
}
"""A call for each right, which changes nothing that is there."""

DESTRUCTION: list[Call] = [
    lambda client, name: client.delete_item(TableName=name, Key=_key(name)),
    lambda client, name: client.put_item(TableName=name, Item=_key(name)),
    lambda client, name: client.update_item(TableName=name, Key=_key(name)),
    lambda client, name: client.batch_write_item(RequestItems={name: [{"DeleteRequest": {"Key": _key(name)}}]}),
    lambda client, name: client.transact_write_items(
        TransactItems=[{"Delete": {"TableName": name, "Key": _key(name)}}]
    ),
    lambda client, name: client.delete_table(TableName=name),
    lambda client, name: client.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "storedAt"}
    ),
]
