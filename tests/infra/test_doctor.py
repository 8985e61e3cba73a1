"""`make doctor` names what is in the way, and what to do."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts import doctor
from scripts.doctor import Level, examine
from scripts.infra.stack import Stack
from shopflow.environment import LOOPBACK
from tests.addresses import free_port
from tests.infra.test_errors import NO_ENGINE, put

GOOD_TERRAFORM = """echo '{"terraform_version": "1.11.4"}'"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack that was never up, in a shell where only Terraform is installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    put(tmp_path, "terraform", GOOD_TERRAFORM)
    return Stack("own", tmp_path / "own", tmp_path / ".env.local", free_port(), "shopflow-own")


def findings(stack: Stack, level: Level, exported: Mapping[str, str] | None = None) -> str:
    return "\n".join(found.text for found in examine(stack, exported or {}) if found.level is level)


def test_a_good_machine_has_nothing_in_the_way(stack: Stack) -> None:
    assert findings(stack, Level.BAD) == ""
    assert f"Port {stack.port} is free" in findings(stack, Level.GOOD)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "Terraform is not installed: install version 1.9 or later from https"),
        ("""echo '{"terraform_version": "1.8.5"}'""", "Terraform 1.8.5: install 1.9 or later"),
        ("echo 'cannot execute binary file' >&2; exit 126", "does not work: cannot execute binary file"),
    ],
)
def test_it_says_what_to_do_about_terraform(stack: Stack, tmp_path: Path, script: str | None, said: str) -> None:
    (tmp_path / "terraform").unlink()
    if script:
        put(tmp_path, "terraform", script)
    assert said in findings(stack, Level.BAD)


def test_it_says_who_has_a_port_and_how_to_choose_another(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, stack.port)):
        monkeypatch.setenv("PORT", str(stack.port))
        bad = findings(stack, Level.BAD)
    assert "for the local AWS: SHOPFLOW_PORT=" in bad
    assert "for the Order Service: PORT=" in bad


def test_it_checks_settings_before_anything_is_up(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_SUCCESS_RATE", "much")
    assert findings(stack, Level.BAD) == "PAYMENT_SUCCESS_RATE=much must be a number from 0 to 1."


def test_it_looks_for_docker_only_if_that_is_asked_for(stack: Stack, tmp_path: Path) -> None:
    assert "CLOUD=localstack needs Docker" in findings(stack, Level.BAD, {"CLOUD": "localstack"})
    put(tmp_path, "docker", NO_ENGINE)
    assert "Is the docker daemon running?" in findings(stack, Level.BAD, {"CLOUD": "localstack"})


def test_it_names_the_variables_that_are_ignored(stack: Stack) -> None:
    exported = {"AWS_PROFILE": "x", "SHOPFLOW_TOPIC_ARN": "x", "TF_WORKSPACE": "x", "HTTP_PROXY": "x", "PORT": "3001"}
    notes = findings(stack, Level.NOTE, exported)
    assert "ignores AWS_PROFILE, SHOPFLOW_TOPIC_ARN\n" in notes
    assert "'make infra-up' ignores TF_WORKSPACE" in notes
    assert "without HTTP_PROXY" in notes
    assert "PORT," not in notes
