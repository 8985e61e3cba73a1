"""A throw-away stack: its Terraform, its commands and its AWS calls. None of them changes what lacks its prefix."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.console import CommandError, last_line
from scripts.infra import terraform
from scripts.infra.stack import API_URL, ROOT, passed_on
from shopflow.environment import read_env_file

NOT_A_NAME = {API_URL, "SHOPFLOW_STACK", "SHOPFLOW_OPEN_ORDERS_INDEX"}
"""Settings that name no resource: the id in the API's address is AWS's, the index belongs to its table."""
LISTS: tuple[tuple[str, str, str, str | None, Mapping[str, str]], ...] = (
    ("apigatewayv2", "get_apis", "Items", "Name", {}),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName", {}),
    ("dynamodb", "list_tables", "TableNames", None, {}),
    ("events", "list_rules", "Rules", "Name", {}),
    ("iam", "list_policies", "Policies", "PolicyName", {"Scope": "Local"}),
    ("iam", "list_roles", "Roles", "RoleName", {}),
    ("lambda", "list_functions", "Functions", "FunctionName", {}),
    ("logs", "describe_log_groups", "logGroups", "logGroupName", {}),
    ("sns", "list_topics", "Topics", "TopicArn", {}),
    ("sqs", "list_queues", "QueueUrls", None, {}),
)
"""Where to look for a prefix: service, operation, list in the answer, name in an entry of it, parameters."""


@dataclass(frozen=True)
class ThrowAway(terraform.Module):
    """The Terraform module as aws.tfvars has it, on Lambda, under the prefix of the stack. No ``endpoint``: AWS.

    ``email`` gets the alarms.
    """

    email: str = ""

    @property
    def variables(self) -> dict[str, str]:
        variables = super().variables
        del variables["mail_from"]
        variables |= {"deletion_protection": "false", "log_retention_days": "1"}
        variables["alarm_emails"] = json.dumps([self.email])
        if self.endpoint:  # it speaks plain http, and is one machine
            variables |= {"require_tls": "false", "worker_concurrency": "2"}
        return variables

    def command(self, *arguments: str) -> list[str]:
        """A command of Terraform; for a local cloud, of tflocal."""
        if self.endpoint:
            return super().command(*arguments)
        return [terraform.require_terraform(), *arguments, "-input=false", "-no-color"]

    def changing(self, action: str, *options: str) -> list[str]:
        """A plan, apply or destroy, with our own values over those of aws.tfvars."""
        return super().changing(action, f"-var-file={ROOT / 'terraform' / 'aws.tfvars'}", *options)

    def environment(self) -> dict[str, str]:
        """The environment of a run. On AWS it has the shell's credentials and profile."""
        if self.endpoint:
            return super().environment()
        own = {"TF_DATA_DIR": str(self.stack.folder / "terraform-data"), "TF_IN_AUTOMATION": "1"}
        return passed_on(os.environ, *terraform.PASSED_ON, "AWS_") | own

    def python(self, module: str, *arguments: str) -> str:
        """What ``python -m module`` prints on this stack, as a person would run it after `make env`.

        Raises `CommandError` when it fails, and before it starts when a setting names another stack's resource.
        """
        for name, value in read_env_file(self.stack.env_file).items():
            if name.startswith("SHOPFLOW_") and name not in NOT_A_NAME and not belongs(value, self.stack.name_prefix):
                raise CommandError(f"{name}={value} is not of the stack {self.stack.name_prefix}.")
        own = {
            "SHOPFLOW_ENV_FILE": str(self.stack.env_file),
            "SHOPFLOW_OPERATOR_LOG": str(self.stack.folder / "operator.log"),
            "PORT": str(self.stack.port),  # so that e2e does not find the services of another stack at 3000
            "COLUMNS": "120",
        }
        command, log = [sys.executable, "-m", module, *arguments], self.stack.folder / "commands.log"
        env = passed_on(os.environ, "AWS_") | own
        answer = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        with log.open("a") as file:
            file.write(f"$ {' '.join(command[1:])}\n{answer.stdout}{answer.stderr}\n")
        if answer.returncode != 0:
            raise CommandError(f"{module} failed: {last_line(answer.stderr or answer.stdout)} (its output: {log})")
        return answer.stdout


@dataclass(frozen=True, slots=True)
class Account:
    """AWS, or a local cloud at ``endpoint``. Everything may be read, and only the stack's roles and queues changed."""

    session: Any
    endpoint: str | None
    prefix: str

    def client(self, service: str) -> Any:
        """A client to read with."""
        return self.session.client(service, endpoint_url=self.endpoint)

    def change(self, service: str, operation: str, **params: Any) -> None:
        """Change a role (RoleName) or a queue (QueueUrl). Raises `CommandError` when it is not of this stack."""
        target = params.get("RoleName") or params["QueueUrl"]
        if not belongs(target, self.prefix):
            raise CommandError(f"{operation} was refused: {target} is not of the stack {self.prefix}.")
        getattr(self.client(service), operation)(**params)

    def named(self) -> list[str]:
        """All resources whose names start with the prefix."""
        return sorted(name for name in self._names() if belongs(name, self.prefix))

    def _names(self) -> Iterator[str]:
        for service, operation, answer, name, params in LISTS:
            for page in self.client(service).get_paginator(operation).paginate(**params):
                for entry in page.get(answer, []):
                    yield f"{service} {entry[name] if name else entry}"


def belongs(name: str, prefix: str) -> bool:
    """Whether a resource's name, ARN or URL has the prefix."""
    return re.split(r"[ :/]", name)[-1].startswith(f"{prefix}-")
