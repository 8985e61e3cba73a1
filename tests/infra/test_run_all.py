"""`make run-all` with the real services."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest
import requests

from scripts.infra.stack import ROOT
from tests.addresses import free_port
from tests.commands import processes, run_module
from tests.sizes import full
from tests.stack import AppliedStack
from tests.waiting import eventually

WAIT_SECONDS = 30


class RunAll:
    """A running `run_all`. Its lines are JSON, because its output is not a terminal."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def started(self) -> dict[str, int]:
        """Wait until ShopFlow is up. Returns `children`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "ShopFlow is up" in json.loads(line)["message"]:
                return self.children()
        raise AssertionError("it ended before")

    def children(self) -> dict[str, int]:
        """Process ids by service, which is the last word of the command."""
        return {one.args.split()[-1]: one.pid for one in processes() if one.parent == self.process.pid}


@contextmanager
def run_all(stack: AppliedStack, streams: Mapping[str, int] | None = None, **env: str) -> Iterator[RunAll]:
    """``streams``: where its stdout and stderr go, if not into the pipe that `RunAll` reads."""
    to = streams or {}
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.run_all"],
        cwd=ROOT,
        env={**stack.env, "PORT": str(free_port()), **env},
        text=True,
        start_new_session=True,
        stdout=to.get("stdout", subprocess.PIPE),
        stderr=to.get("stderr", subprocess.STDOUT),
    )
    with process:
        try:
            yield RunAll(process)
        finally:
            process.terminate()
            process.wait(WAIT_SECONDS)


def alive(pids: Mapping[str, int]) -> set[str]:
    running = {process.pid for process in processes()}
    return {name for name, pid in pids.items() if pid in running}


def test_it_starts_all_services_and_sigterm_stops_them_all_with_exit_code_0(stack: AppliedStack) -> None:
    with run_all(stack, SCALE="inventory=2") as running:
        pids = running.started()
        assert set(pids) == {"api", "inventory", "payment", "notification", "audit"}
        running.process.terminate()
        assert running.process.wait(WAIT_SECONDS) == 0
    assert not alive(pids)


def test_when_it_is_killed_all_services_stop(stack: AppliedStack) -> None:
    with run_all(stack) as running:
        pids = running.started()
        assert len(pids) == 5
        running.process.kill()
        running.process.wait(WAIT_SECONDS)
        eventually(lambda: alive(pids), lambda names: not names)


CHOSEN = "a-token-that-nobody-can-guess"


@contextmanager
def a_terminal() -> Iterator[tuple[int, TextIO]]:
    """The end that a program writes to, and the text that appears."""
    reading, writing = pty.openpty()
    with os.fdopen(reading, encoding="utf-8", closefd=False) as text:
        try:
            yield writing, text
        finally:
            for end in (reading, writing):
                os.close(end)


def link_on(text: TextIO) -> str:
    return next(line for line in text if line.startswith("The operator's page: ")).split(": ", 1)[1].strip()


@pytest.mark.parametrize(("given", "stream"), [("", "stdout"), pytest.param(CHOSEN, "stderr", id="chosen", marks=full)])
def test_a_terminal_shows_a_link_that_opens_the_operators_page_and_only_the_order_service_has_its_token(
    stack: AppliedStack, given: str, stream: str
) -> None:
    with a_terminal() as (writing, text), run_all(stack, {stream: writing}, OPS_TOKEN=given) as running:
        page, _, token = link_on(text).partition("#")
        assert not given or token == given
        answer = requests.get(page, headers={"Authorization": f"Bearer {token}"}, timeout=WAIT_SECONDS)
        assert (answer.status_code, requests.get(page, timeout=WAIT_SECONDS).status_code) == (200, 401)
        knowing = {name for name, pid in running.children().items() if token.encode() in _environment(pid)}
        assert knowing == {"api"}


def test_no_file_and_no_pipe_gets_the_operators_token(stack: AppliedStack, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file, run_all(stack, {"stdout": file.fileno()}) as running:
        eventually(log.read_text, lambda text: "The operator's page: " in text)
        (token,) = re.findall(r"OPS_TOKEN=([^\0]+)", _environment(running.children()["api"]).decode())
        running.process.terminate()
        running.process.wait(WAIT_SECONDS)
    assert token not in log.read_text()


def _environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def test_a_second_one_says_which_process_has_the_port(stack: AppliedStack) -> None:
    port = str(free_port())
    with run_all(stack, PORT=port) as running:
        api = running.started()["api"]
        second = run_module("scripts.run_all", env={**stack.env, "PORT": port})
    assert second.returncode == 1
    assert second.stderr.startswith(f"Port {port} is taken by process {api} (")
    assert second.stderr.count("\n") == 1
