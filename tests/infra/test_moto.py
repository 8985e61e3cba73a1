"""Terraform against a second implementation of AWS: moto, as a process on loopback.

What moto lacks is named here, each beside what it prevents. Orders cannot be placed on it: it ignores the parameters
of a batched PartiQL statement, which is how orders are written.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from scripts.console import Progress
from scripts.infra.stack import ROOT, Stack
from scripts.infra.terraform import Module, init, require_terraform, run
from scripts.package import for_this_machine, make_package
from shopflow.environment import LOOPBACK
from tests.addresses import free_port
from tests.sizes import full
from tests.waiting import eventually

TFVARS = (f"-var-file={ROOT / 'terraform' / 'aws.tfvars'}", '-var=alarm_emails=["ops@example.com"]')
UNPROTECTED = "-var=deletion_protection=false"
NO_REDRIVE_ALLOW_POLICY = """
resource "aws_sqs_queue" "dlq" {
  redrive_allow_policy = null
}
"""
"""moto takes a queue's RedriveAllowPolicy and never returns it: the provider would wait for it until it gives up."""
CHANGES_FOR_EVER = {
    "aws_sqs_queue": {"redrive_policy"},  # moto changes its white space
    "aws_lambda_function": {"logging_config", "qualified_arn", "qualified_invoke_arn", "version"},  # no logging_config
    "aws_lambda_alias": {"function_version"},  # follows from the function
    "aws_lambda_invocation": {"id", "qualifier", "result"},  # follows from the function
    "aws_lambda_event_source_mapping": {"function_name"},  # moto resolves the alias to its version
}
"""What a second plan wants to change because of moto: attributes by type of resource."""


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[Stack]:
    """A stack whose cloud is moto. It answers invocations itself, because it would run functions in Docker."""
    stack = Stack("moto", tmp_path, tmp_path / "env", free_port(), "shopflow-moto")
    with (tmp_path / "moto.log").open("w") as log:
        command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(stack.port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            eventually(lambda: _without_docker(stack), bool)
            yield stack
        finally:
            process.kill()
            process.wait()


def _without_docker(stack: Stack) -> bool:
    try:
        answer = requests.post(
            f"{stack.own_endpoint}/moto-api/config", json={"lambda": {"use_docker": False}}, timeout=5
        )
    except requests.ConnectionError:
        return False
    return answer.ok


@full
@pytest.mark.timeout(900)
def test_aws_tfvars_with_lambda_is_applied_has_nothing_left_to_change_and_is_removed(moto: Stack) -> None:
    package = for_this_machine(moto.folder / "lambda.zip")
    make_package(package, Progress())
    module = Module(moto, moto.own_endpoint, package=package)
    init(module)
    (module.folder / "modules/consumer/moto_override.tf").write_text(NO_REDRIVE_ALLOW_POLICY)

    assert "Apply complete!" in run(module, module.changing("apply", "-auto-approve", *TFVARS))
    run(module, module.changing("plan", "-out=second", *TFVARS))
    assert {(kind, name) for kind, name in _changes(module) if name not in CHANGES_FOR_EVER.get(kind, ())} == set()

    run(module, module.changing("apply", "-auto-approve", *TFVARS, UNPROTECTED))
    assert "Destroy complete!" in run(module, module.changing("destroy", "-auto-approve", *TFVARS, UNPROTECTED))


def _changes(module: Module) -> set[tuple[str, str]]:
    """What the plan `second` would change: type of resource and attribute."""
    command = [require_terraform(), "show", "-json", "second"]
    shown = subprocess.run(command, cwd=module.folder, env=module.environment(), capture_output=True, check=True)
    return {
        (resource["type"], name)
        for resource in json.loads(shown.stdout)["resource_changes"]
        if resource["change"]["actions"] != ["no-op"]
        for name, value in (resource["change"]["before"] or {}).items()
        if (resource["change"]["after"] or {}).get(name) != value
    }
