"""What stands in the way of `make infra-up` is told in one line, with what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.console import FAILED, MISUSED, run_command
from scripts.infra.__main__ import run
from scripts.infra.stack import ROOT, Stack


@pytest.fixture
def own_stack(tmp_path: Path) -> Stack:
    return Stack("own", tmp_path / "own", tmp_path / "env", 1, "shopflow-own")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(tools: Path, name: str, script: str) -> None:
    (tools / name).write_text(f"#!/bin/sh\n{script}\n")
    (tools / name).chmod(0o755)


def put_terraform(tools: Path, version: str) -> None:
    put(tools, "terraform", f"""echo '{{"terraform_version": "{version}"}}'""")


def error_of_up(stack: Stack, settings: dict[str, str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = run_command(lambda: run("up", stack, settings))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return code, lines[0]


def test_a_missing_terraform(own_stack: Stack, tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = error_of_up(own_stack, {}, capsys)
    assert code == FAILED
    assert line.startswith("Terraform is not installed: get version 1.9 or later")
    assert not own_stack.folder.exists()


def test_the_command_itself_without_terraform(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.infra", "up"]
    answer = subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert answer.returncode == FAILED
    assert answer.stderr.startswith("Terraform is not installed")
    assert answer.stderr.count("\n") == 1


def test_a_terraform_that_is_too_old(own_stack: Stack, tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_terraform(tools, "1.8.5")
    code, line = error_of_up(own_stack, {}, capsys)
    assert code == FAILED
    assert line.startswith("Terraform 1.8.5 is too old: get version 1.9 or later")


def test_localstack_without_docker(own_stack: Stack, tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_terraform(tools, "1.11.4")
    code, line = error_of_up(own_stack, {"CLOUD": "localstack"}, capsys)
    assert code == FAILED
    assert line.startswith("CLOUD=localstack needs Docker, which is not installed: install it, or leave CLOUD unset")


def test_localstack_without_a_docker_engine(own_stack: Stack, tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_terraform(tools, "1.11.4")
    put(tools, "docker", "exit 1")
    code, line = error_of_up(own_stack, {"CLOUD": "localstack"}, capsys)
    assert code == FAILED
    assert "whose engine does not answer: start it" in line


def test_localstack_without_compose(own_stack: Stack, tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_terraform(tools, "1.11.4")
    put(tools, "docker", '[ "$1" = info ]')
    code, line = error_of_up(own_stack, {"CLOUD": "localstack"}, capsys)
    assert code == FAILED
    assert "'docker compose', which is missing" in line


def test_an_unknown_cloud(own_stack: Stack, tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_terraform(tools, "1.11.4")
    code, line = error_of_up(own_stack, {"CLOUD": "azure"}, capsys)
    assert (code, line) == (MISUSED, "CLOUD=azure must be embedded or localstack.")


def test_an_endpoint_that_does_not_answer(own_stack: Stack, tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_terraform(tools, "1.11.4")
    code, line = error_of_up(own_stack, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, capsys)
    assert code == FAILED
    assert line.startswith("AWS_ENDPOINT_URL=http://127.0.0.1:1 does not answer.")
