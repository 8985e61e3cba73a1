"""A local AWS from outside: a client of it, which program it is, and which calls of ShopFlow it lacks."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from localstack_client.session import Session

from scripts.console import CommandError
from scripts.infra.stack import HEALTH_PATH, fetch
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import has_operation

SELECT = 'SELECT * FROM "shopflow-no-such-table"'
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/shopflow-no-such-table"
START_SECONDS = 30
"""LocalStack starts a service with its first call."""


def local_client(service: str, endpoint: str, **options: Any) -> Any:
    """A boto3 client of ``service`` with a local AWS's credentials. ``options`` are boto3's, such as ``config``.

    An AWS_ENDPOINT_URL in the environment takes precedence over ``endpoint``.
    """
    return Session(localstack_host=urlsplit(endpoint).netloc).client(service, **options)


@dataclass(frozen=True, slots=True)
class Abilities:
    """``cloud`` is its name and version. ``table_policies``: whether a table can have a resource policy."""

    cloud: str
    table_policies: bool = True

    def __str__(self) -> str:
        lacks = "" if self.table_policies else ", which has no table policies: the audit log can be changed"
        return self.cloud + lacks


def embedded_abilities() -> Abilities:
    """Those of the embedded emulator. They are known: to ask it would take half a second of every `make infra-up`."""
    return Abilities(f"ministack {importlib.metadata.version('ministack')}")


def abilities_of(endpoint: str) -> Abilities:
    """Ask the local AWS at ``endpoint``. Raises `CommandError` if ShopFlow cannot run on it, and `Unavailable`."""
    cloud = _name(endpoint)
    limits = PATIENT.boto_config(extra_read_seconds=START_SECONDS)
    dynamodb = local_client("dynamodb", endpoint, config=limits)
    if not has_operation(lambda: dynamodb.execute_statement(Statement=SELECT)):
        raise CommandError(f"{cloud} at {endpoint} cannot run ShopFlow: its DynamoDB has no PartiQL. Use a newer one.")
    return Abilities(cloud, table_policies=has_operation(lambda: dynamodb.get_resource_policy(ResourceArn=TABLE)))


def _name(endpoint: str) -> str:
    kind = "ministack" if fetch(f"{endpoint}/_ministack/health") else "LocalStack"
    health = fetch(endpoint + HEALTH_PATH)
    return f"{kind} {health.json().get('version', '(unknown version)')}" if health else "An unknown local AWS"
