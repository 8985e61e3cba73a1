"""What prevents `make infra-up` is one line that says what to do, and `make doctor` finds it before."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from scripts import doctor
from scripts.console import FAILED, MISUSED, Progress, run_command
from scripts.doctor import BAD, GOOD, NOTE, examine
from scripts.infra.lifecycle import up
from scripts.infra.stack import Stack
from shopflow.environment import LOOPBACK
from tests.addresses import free_port
from tests.commands import install

TERRAFORM = """echo '{"terraform_version": "1.11.4"}'"""
NO_ENGINE = "echo 'Cannot connect to the Docker daemon. Is the docker daemon running?' >&2; exit 1"
NOBODY = "http://127.0.0.1:1"
LOCALSTACK = {"CLOUD": "localstack"}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack that was never up, in a shell where only Terraform is installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    install(tmp_path, "terraform", TERRAFORM)
    return Stack("own", tmp_path / "own", tmp_path / ".env.local", free_port(), "shopflow-own")


def found(stack: Stack, wanted: str, **exported: str) -> str:
    """The doctor's findings of the mark ``wanted``."""
    return "\n".join(text for mark, text in examine(stack, exported) if mark == wanted)


@pytest.mark.parametrize(
    ("tools", "settings", "code", "start"),
    [
        ({"terraform": ""}, {}, FAILED, "Terraform is not installed: install version 1.9 or later"),
        ({}, LOCALSTACK, FAILED, "CLOUD=localstack needs Docker, which is not installed. Install it."),
        ({"docker": NO_ENGINE}, LOCALSTACK, FAILED, "'docker compose ps' failed: Cannot connect to the Docker daemon."),
        ({}, {"CLOUD": "azure"}, MISUSED, "CLOUD=azure must be embedded or localstack."),
        ({}, {"AWS_ENDPOINT_URL": NOBODY}, FAILED, f"AWS_ENDPOINT_URL={NOBODY} does not answer."),
    ],
)
def test_what_prevents_an_up_is_one_line_and_the_doctor_says_the_same(
    stack: Stack,
    tools: dict[str, str],
    settings: dict[str, str],
    code: int,
    start: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, script in tools.items():
        install(tmp_path, name, script)
    assert run_command(lambda: bool(up(stack, settings, Progress()))) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(start)
    assert line in found(stack, BAD, **settings)


def test_a_good_machine_has_nothing_in_the_way(stack: Stack) -> None:
    assert found(stack, BAD) == ""
    assert f"can start at {stack.own_endpoint}" in found(stack, GOOD)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("""echo '{"terraform_version": "1.8.5"}'""", "Terraform 1.8.5: install 1.9 or later"),
        ("echo 'cannot execute binary file' >&2; exit 126", "does not work: cannot execute binary file"),
    ],
)
def test_a_terraform_that_is_old_or_broken_is_found(stack: Stack, tmp_path: Path, script: str, said: str) -> None:
    install(tmp_path, "terraform", script)
    assert said in found(stack, BAD)


def test_a_taken_port_is_found_with_a_way_to_choose_another(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(stack.port))
    with socket.create_server((LOOPBACK, stack.port)):
        local_aws, order_service = found(stack, BAD).splitlines()
    assert "SHOPFLOW_PORT=" in local_aws
    assert f"choose another port: PORT={stack.port + 1}" in order_service


def test_a_wrong_setting_is_found_before_anything_is_up(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_SUCCESS_RATE", "much")
    assert found(stack, BAD) == "PAYMENT_SUCCESS_RATE=much must be a number from 0 to 1."


def test_the_doctor_names_the_variables_that_are_ignored(stack: Stack) -> None:
    notes = found(stack, NOTE, AWS_PROFILE="x", SHOPFLOW_TOPIC_ARN="x", TF_WORKSPACE="x", HTTP_PROXY="x", PORT="3001")
    assert "ignores AWS_PROFILE, SHOPFLOW_TOPIC_ARN\n" in notes
    assert "only downloads use: HTTP_PROXY\n" in notes
    assert "'make infra-up' ignores TF_WORKSPACE" in notes
