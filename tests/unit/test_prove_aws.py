"""Nothing in `make prove-aws` may touch what lacks its prefix."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.console import FAILED, MISUSED, CommandError, run_command
from scripts.infra.stack import Stack, render_env
from scripts.package import for_this_machine
from scripts.prove_aws import __main__ as command
from scripts.prove_aws.figures import CALLS, UNITS
from scripts.prove_aws.throwaway import Account, ThrowAway
from tests.counting import ALL_PAID, at_one_a_second, at_saturation
from tests.unit.test_scripts_infra import OUTPUTS

PREFIX = "shopflow-prove-0a1b2c"


class Cloud:
    """A boto3 session, client and paginator of an account that holds one topic. It notes what is changed."""

    region_name = "eu-west-1"

    def __init__(self) -> None:
        self.changed: list[dict[str, Any]] = []

    def client(self, service: str, **_: object) -> Cloud:
        return self

    get_paginator = client

    def paginate(self, **_: object) -> list[dict[str, Any]]:
        return [{"Topics": [{"TopicArn": f"arn:aws:sns:eu-west-1:123456789012:{PREFIX}-orders"}]}]

    def put_role_policy(self, **params: Any) -> None:
        self.changed.append(params)


@pytest.fixture
def module(tmp_path: Path) -> ThrowAway:
    stack = Stack("prove", tmp_path, tmp_path / "env", 25_000, PREFIX, "eu-west-1")
    package = for_this_machine(tmp_path / "lambda.zip")
    return ThrowAway(stack, "", package=package, email="ops@example.com")


@pytest.mark.parametrize("action", ["plan", "apply", "destroy"])
def test_terraform_gets_the_prefix_and_a_state_of_its_own(action: str, module: ThrowAway) -> None:
    assert f"-var=name_prefix={PREFIX}" in module.changing(action)
    assert module.folder.is_relative_to(module.stack.folder)
    assert module.environment()["TF_DATA_DIR"] == str(module.stack.folder / "terraform-data")


def test_a_command_runs_on_the_settings_of_the_stack_and_not_on_those_of_another(
    module: ThrowAway, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[dict[str, str]] = []

    def run(command: list[str], env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(env)
        return subprocess.CompletedProcess(command, 0, "done", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("SHOPFLOW_ORDERS_TABLE", "shopflow-orders")
    ours = json.loads(json.dumps(OUTPUTS).replace("shopflow", PREFIX))
    module.stack.env_file.write_text(render_env(ours, None))
    assert module.python("scripts.verify") == "done"
    assert ran[0]["SHOPFLOW_ENV_FILE"] == str(module.stack.env_file)
    assert "SHOPFLOW_ORDERS_TABLE" not in ran[0]

    module.stack.env_file.write_text(render_env(OUTPUTS, None))
    with pytest.raises(CommandError, match=f"is not of the stack {PREFIX}"):
        module.python("scripts.verify")
    assert len(ran) == 1


def test_a_role_is_changed_only_if_it_is_the_stack_s() -> None:
    cloud = Cloud()
    account = Account(cloud, None, PREFIX)
    account.change("iam", "put_role_policy", RoleName=f"{PREFIX}-payment")
    with pytest.raises(CommandError, match="was refused"):
        account.change("iam", "put_role_policy", RoleName="shopflow-payment")
    assert cloud.changed == [{"RoleName": f"{PREFIX}-payment"}]


@pytest.mark.parametrize(
    ("arguments", "endpoint", "code", "shown"),
    [
        ([], "", FAILED, f"The prefix {PREFIX} is in use: sns arn:aws:sns:"),
        ([], "http://127.0.0.1:1", MISUSED, "AWS_ENDPOINT_URL_SQS is set"),
        (["--remove", "shopflow"], "", MISUSED, "starts with shopflow-prove-"),
    ],
)
def test_it_refuses_before_it_makes_anything(
    arguments: list[str],
    endpoint: str,
    code: int,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made: list[object] = []
    monkeypatch.setattr(command, "token_hex", lambda _: PREFIX.removeprefix("shopflow-prove-"))
    monkeypatch.setattr(command, "session_in", lambda _: Cloud())
    monkeypatch.setattr(command, "make_package", lambda *made_of: made.append(made_of))
    monkeypatch.setattr("sys.argv", ["prove_aws", *arguments])
    for name in ("CLOUD", "ORDERS", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("YES", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)
    assert run_command(command.main) == code
    assert shown in capsys.readouterr().err.replace("\n", " ")
    assert not made


def test_the_figures_in_the_report_are_those_of_the_count() -> None:
    full, alone, printed = at_saturation(ALL_PAID), at_one_a_second(), {**CALLS, **UNITS}
    assert {name: (full.get(name, 0), alone.get(name, 0)) for name in printed} == {
        name: pytest.approx(bounds) for name, bounds in printed.items()
    }
