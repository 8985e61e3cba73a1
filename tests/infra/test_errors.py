"""What prevents `make infra-up` is one line on stderr, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.console import FAILED, MISUSED, run_command
from scripts.infra.__main__ import run
from scripts.infra.stack import Stack


def put(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


TERRAFORM = "exit 0"
NO_ENGINE = "echo 'Cannot connect to the Docker daemon. Is the docker daemon running?' >&2; exit 1"


@pytest.mark.parametrize(
    ("tools", "settings", "code", "start"),
    [
        ({}, {}, FAILED, "Terraform is not installed: install version 1.9 or later"),
        (
            {"terraform": TERRAFORM},
            {"CLOUD": "localstack"},
            FAILED,
            "CLOUD=localstack needs Docker, which is not installed. Install it. Or leave CLOUD unset",
        ),
        (
            {"terraform": TERRAFORM, "docker": NO_ENGINE},
            {"CLOUD": "localstack"},
            FAILED,
            "'docker compose ps' failed: Cannot connect to the Docker daemon. Is the docker daemon running? Or leave",
        ),
        ({"terraform": TERRAFORM}, {"CLOUD": "azure"}, MISUSED, "CLOUD=azure must be embedded or localstack."),
        (
            {"terraform": TERRAFORM},
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            FAILED,
            "AWS_ENDPOINT_URL=http://127.0.0.1:1 does not answer.",
        ),
    ],
)
def test_what_prevents_an_up_is_one_line(
    tools: dict[str, str],
    settings: dict[str, str],
    code: int,
    start: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, script in tools.items():
        put(tmp_path, name, script)
    stack = Stack("own", tmp_path / "own", tmp_path / "env", 1, "shopflow-own")
    assert run_command(lambda: run("up", stack, settings)) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(start)
