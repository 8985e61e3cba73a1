"""The container image. No image can be built without an engine, so what it would run is run here as it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.lanes import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 30
NAMES = ("TOPIC_ARN", "INVENTORY_QUEUE_URL", "ORDERS_TABLE", "INVENTORY_TABLE", "EVENTS_TABLE", "OPEN_ORDERS_INDEX")
NOWHERE = {
    **{f"SHOPFLOW_{name}": f"http://127.0.0.1:9/{name}" for name in NAMES},
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its argument, lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    split = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(name, argument) for name, argument in split]


def last(name: str) -> str:
    return [argument for instruction, argument in instructions() if instruction == name][-1]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in last("ENV").split())


def copied() -> list[tuple[str, str]]:
    """Source and target of what comes out of the project."""
    arguments = [argument for name, argument in instructions() if name == "COPY" and "--from" not in argument]
    return [(source, target) for source, target in (argument.split() for argument in arguments)]


def command(argument: str) -> list[str]:
    """A command in exec form, by the Python that runs this."""
    words = json.loads(argument)
    assert words[0] == "python"
    return [sys.executable, *words[1:]]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    for source, target in copied():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@contextmanager
def running(app: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The image's entry point with a command, and its environment."""
    env = environment() | NOWHERE | {"HOST": "127.0.0.1", "PORT": str(free_port())} | {"PATH": os.environ["PATH"]}
    del env["PYTHONPATH"]  # the image's packages are this Python's own here
    argv = [*command(last("ENTRYPOINT")), *words]
    process = subprocess.Popen(argv, cwd=app, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with process:
        try:
            yield process, env
        finally:
            process.kill()


def becomes_true(look: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def test_the_image_takes_only_what_exists_and_what_dockerignore_lets_through() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert {source for source, _ in copied()} == let_through
    assert all((ROOT / source).exists() for source in let_through)


def test_the_image_is_of_one_exact_python_and_runs_as_nobody_special() -> None:
    bases = [argument.split()[0] for name, argument in instructions() if name == "FROM"]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", bases[0])
    assert {*bases[1:]} == {"python"}
    uid, gid = last("USER").split(":")
    assert int(uid) > 0
    assert int(gid) > 0


def test_the_health_check_tells_whether_the_api_answers_and_sigterm_ends_it_well(app: Path) -> None:
    check = command(last("HEALTHCHECK").partition("CMD")[2])
    with running(app, *json.loads(last("CMD"))) as (process, env):

        def healthy() -> bool:
            return subprocess.run(check, env=env, capture_output=True).returncode == 0

        assert becomes_true(healthy)
        process.terminate()
        assert process.wait(START_SECONDS) == 0
        assert not healthy()


def test_sigterm_ends_a_worker_well(app: Path) -> None:
    with running(app, "workers", "inventory") as (process, _):
        assert process.stdout is not None
        assert any("consuming with" in line for line in process.stdout)
        process.terminate()
        assert process.wait(START_SECONDS) == 0
