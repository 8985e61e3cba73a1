"""The kinds of local AWS that a stack can run on, which one it uses, and what that can do."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from localstack_client.session import Session

from scripts.console import CommandError, Progress, last_line
from scripts.infra.emulator import Embedded
from scripts.infra.stack import HEALTH_PATH, ROOT, Stack, answers, fetch, wait_until_healthy
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import has_operation
from shopflow.environment import canonical
from shopflow.errors import ConfigError

SELECT = 'SELECT * FROM "shopflow-no-such-table"'
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/shopflow-no-such-table"
START_SECONDS = 30
"""LocalStack starts a service with its first call."""


class External:
    """An endpoint that somebody else runs. Used as it is, never started or stopped."""

    kind = "external"

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint.rstrip("/")

    def is_running(self) -> bool:
        if not answers(self.endpoint + HEALTH_PATH):
            raise CommandError(
                f"AWS_ENDPOINT_URL={self.endpoint} does not answer. Start what should listen there, "
                "or unset AWS_ENDPOINT_URL: then a local AWS is started."
            )
        return True

    def start(self, progress: Progress) -> None:
        self.is_running()
        progress.say(f"✔ {self.endpoint} answers: using it as it is (AWS_ENDPOINT_URL)")

    def has_ended(self) -> bool:
        return False

    def stop(self, progress: Progress) -> None:
        progress.say(f"{self.endpoint} was not started by ShopFlow: left running")


class LocalStack:
    """LocalStack in a container, by docker-compose.yml. Without a licence it loses its state when it stops."""

    kind = "localstack"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.endpoint = stack.own_endpoint

    def is_running(self) -> bool:
        if self._container_runs():
            return True
        self._stack.check_port()
        return False

    def start(self, progress: Progress) -> None:
        if self.is_running():
            return
        with progress.step("Starting LocalStack (the first time, Docker downloads its image)"):
            self._compose("up", "--detach", "--quiet-pull")
            if not wait_until_healthy(self.endpoint, self._container_runs):
                raise CommandError("LocalStack did not start: 'docker compose logs' shows why.")

    def has_ended(self) -> bool:
        return False  # Docker would say, but it takes long

    def stop(self, progress: Progress) -> None:
        with progress.step("Stopping LocalStack"):
            self._compose("stop")
        progress.say("Without a licence LocalStack loses its state: the next infra-up applies Terraform again")

    def discard(self, progress: Progress) -> None:
        with progress.step("Removing LocalStack's container"):
            self._compose("down", "--volumes")

    def _container_runs(self) -> bool:
        return bool(self._compose("ps", "--quiet", "--status", "running"))

    def _compose(self, *arguments: str) -> str:
        instead = "Or leave CLOUD unset: the embedded local AWS needs no Docker."
        if shutil.which("docker") is None:
            raise CommandError(f"CLOUD=localstack needs Docker, which is not installed. Install it. {instead}")
        command = ["docker", "compose", "--project-name", f"shopflow-{self._stack.name}", *arguments]
        licensed = {"LOCALSTACK_TAG": "latest"} if os.environ.get("LOCALSTACK_AUTH_TOKEN") else {}
        environment = licensed | dict(os.environ) | {"SHOPFLOW_PORT": str(self._stack.port)}
        answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise CommandError(f"'docker compose {arguments[0]}' failed: {last_line(answer.stderr)} {instead}")
        return answer.stdout.strip()


Cloud = Embedded | LocalStack | External
"""Each has a ``kind``, which is its name in the stack's record, and an ``endpoint``.

``start`` returns when it answers. It raises `CommandError` when it cannot start, and so does ``is_running``, which
only looks. ``stop`` keeps its state, if it can keep any. ``discard`` drops it; an external one has none.
``has_ended``: whether it certainly does not run.
"""


def choose(stack: Stack, settings: Mapping[str, str]) -> Cloud:
    """The cloud that the exported ``settings`` ask for: AWS_ENDPOINT_URL, else CLOUD, else the embedded one.

    An AWS_ENDPOINT_URL that is the stack's own, perhaps exported from its env file, means the cloud of the last run.
    """
    endpoint = settings.get("AWS_ENDPOINT_URL")
    if endpoint and canonical(endpoint) != canonical(stack.record().get("endpoint", "")):
        return External(endpoint)
    last = last_cloud(stack) if endpoint else None
    return last or _of_kind(settings.get("CLOUD") or Embedded.kind, stack)


def last_cloud(stack: Stack) -> Cloud | None:
    """The cloud that the stack last ran on; None before the first one."""
    record = stack.record()
    if "cloud" not in record:  # the first up may have been killed just after it started the embedded one
        embedded = Embedded(stack)
        return None if embedded.has_ended() else embedded
    return External(record["endpoint"]) if record["cloud"] == External.kind else _of_kind(record["cloud"], stack)


def _of_kind(kind: str, stack: Stack) -> Cloud:
    if kind not in (Embedded.kind, LocalStack.kind):
        raise ConfigError(f"CLOUD={kind} must be embedded or localstack.")
    return Embedded(stack) if kind == Embedded.kind else LocalStack(stack)


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
