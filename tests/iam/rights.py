"""Rights: what a policy grants, and what an AWS call needs, in the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_OF_BATCHES = {
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "DeleteMessageBatch": "DeleteMessage",
    "PublishBatch": "Publish",
    "SendMessageBatch": "SendMessage",
}
"""Batch operations have no action of their own (AWS, Service Authorization Reference, SQS and SNS)."""
_STATEMENT = re.compile(r'(INSERT|UPDATE|DELETE|SELECT)\b(?: INTO| FROM|.* FROM)? "([^"]+)"', re.IGNORECASE)
_BY_TABLE = frozenset(
    {"DeleteItem", "DeleteTable", "DescribeTable", "GetItem", "PutItem", "Query", "Scan", "UpdateItem"}
)


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """An action on a resource, by its ARN."""

    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.action} on {self.resource.rsplit(':', 1)[1]}"


@dataclass(frozen=True, slots=True)
class Place:
    """The account and region that calls without an ARN go to."""

    region: str
    account: str

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def table(self, name: str, index: str | None = None) -> str:
        return self.arn("dynamodb", f"table/{name}" + (f"/index/{index}" if index else ""))


def granted_by(policy: Mapping[str, Any]) -> frozenset[Right]:
    """The rights that a policy grants. Raises `ValueError` unless it allows single actions on single resources."""
    rights = {
        Right(action, resource)
        for statement in policy["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    }
    effects = {statement["Effect"] for statement in policy["Statement"]}
    if effects != {"Allow"} or any("*" in right.action + right.resource for right in rights):
        raise ValueError(f"not a list of single rights: {policy}")
    return frozenset(rights)


def needed_by(service: str, operation: str, params: Mapping[str, Any], place: Place) -> frozenset[Right]:
    """The rights that a call needs. Raises `ValueError` for an operation without a rule here."""
    wanted: list[tuple[str, str]]
    match service, operation:
        case "dynamodb", "BatchGetItem" | "BatchWriteItem":
            wanted = [(operation, place.table(table)) for table in params["RequestItems"]]
        case "dynamodb", "BatchExecuteStatement":
            wanted = [_of_statement(statement["Statement"], place) for statement in params["Statements"]]
        case "dynamodb", "TransactWriteItems":
            # It needs the action of each of its items (AWS, "Using IAM with DynamoDB transactions"). Ours are updates.
            wanted = [("UpdateItem", place.table(item["Update"]["TableName"])) for item in params["TransactItems"]]
        case "dynamodb", _ if operation in _BY_TABLE:
            wanted = [(operation, place.table(params["TableName"], params.get("IndexName")))]
        case "sqs", _ if "QueueUrl" in params:
            queue = place.arn("sqs", urlsplit(params["QueueUrl"]).path.rsplit("/", 1)[1])
            wanted = [(_OF_BATCHES.get(operation, operation), queue)]
        case "sns", _ if "TopicArn" in params:
            wanted = [(_OF_BATCHES.get(operation, operation), params["TopicArn"])]
        case "ses", "SendEmail":
            wanted = [(operation, place.arn("ses", f"identity/{params['Source'].partition('@')[2]}"))]
        case _:
            raise ValueError(f"no rule says which rights {service} {operation} needs")
    return frozenset(Right(f"{service}:{action}", resource) for action, resource in wanted)


def names(rights: Iterable[Right]) -> list[str]:
    """For a failed assertion."""
    return [str(right) for right in sorted(rights)]


def _of_statement(text: str, place: Place) -> tuple[str, str]:
    found = _STATEMENT.match(text)
    if found is None:
        raise ValueError(f"no rule says which rights the statement {text!r} needs")
    return f"PartiQL{found[1].title()}", place.table(found[2])


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
