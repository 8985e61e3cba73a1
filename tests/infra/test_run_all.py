"""`make run-all` with the real services."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from scripts.infra.stack import ROOT
from tests.commands import has_ended
from tests.infra.test_emulator import free_port
from tests.live import eventually
from tests.stack import AppliedStack

PATIENCE_SECONDS = 30


class RunAll:
    """A running `run_all`. Its lines are JSON, as its output is no terminal."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next line that is ``wanted``."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            line: dict[str, Any] = json.loads(text)
            if wanted(line):
                return line
        raise AssertionError("it ended before such a line")

    def children(self) -> dict[str, int]:
        """Process numbers by the last word of the command: the service."""
        answer = subprocess.run(["ps", "-eo", "ppid=,pid=,args="], capture_output=True, text=True, check=True)
        rows = [row.split() for row in answer.stdout.splitlines()]
        return {row[-1]: int(row[1]) for row in rows if int(row[0]) == self.process.pid}


@contextmanager
def run_all(stack: AppliedStack, **env: str) -> Iterator[RunAll]:
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.run_all"],
        cwd=ROOT,
        env={**stack.env, "PORT": str(free_port()), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield RunAll(process)
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def says(text: str) -> Callable[[dict[str, Any]], bool]:
    return lambda line: text in line["message"]


def test_it_starts_all_services_and_sigterm_stops_them_all_with_exit_code_0(stack: AppliedStack) -> None:
    with run_all(stack, SCALE="inventory=2") as running:
        running.wait_for(says("ShopFlow is up"))
        pids = running.children()
        assert set(pids) == {"api", "inventory", "payment", "notification", "audit"}
        running.process.terminate()
        assert running.process.wait(PATIENCE_SECONDS) == 0
    assert all(map(has_ended, pids.values()))


def test_when_it_is_killed_all_services_stop_as_on_sigterm(stack: AppliedStack) -> None:
    with run_all(stack) as running:
        running.wait_for(says("ShopFlow is up"))
        pids = running.children()
        assert len(pids) == 5
        running.process.kill()
        running.process.wait(PATIENCE_SECONDS)
        eventually(lambda: {name for name, pid in pids.items() if not has_ended(pid)}, lambda alive: not alive)


@pytest.mark.parametrize("given", ["", "a-token-that-nobody-can-guess"])
def test_it_prints_a_link_that_opens_the_operators_page_and_tells_the_token_to_nobody_else(
    stack: AppliedStack, given: str
) -> None:
    with run_all(stack, OPS_TOKEN=given) as running:
        said = running.wait_for(says("The operator's page: "))["message"]
        page, _, token = said.removeprefix("The operator's page: ").partition("#")
        assert not given or token == given
        answer = requests.get(page, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS)
        assert (answer.status_code, requests.get(page, timeout=PATIENCE_SECONDS).status_code) == (200, 401)
        knowing = {name for name, pid in running.children().items() if token.encode() in _environment(pid)}
        assert knowing == {"api"}


def _environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def test_a_service_that_is_killed_is_started_again_and_says_so(stack: AppliedStack) -> None:
    with run_all(stack) as running:
        running.wait_for(says("ShopFlow is up"))
        first = running.children()["payment"]
        os.kill(first, signal.SIGKILL)
        said = running.wait_for(says("was killed by SIGKILL; starting again in 1 s"))
        assert said["service"] == "payment-service"
        running.wait_for(says("started again"))
        assert running.children()["payment"] != first


def test_two_at_a_time_share_no_port_and_the_second_says_so(stack: AppliedStack) -> None:
    port = str(free_port())
    with run_all(stack, PORT=port) as running:
        running.wait_for(says("ShopFlow is up"))
        second = subprocess.run(
            [sys.executable, "-m", "scripts.run_all"],
            cwd=ROOT,
            env={**stack.env, "PORT": port},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    assert second.returncode == 1
    assert second.stderr.startswith(f"Port {port} is taken")
    assert second.stderr.count("\n") == 1


def test_a_wrong_setting_ends_it_with_exit_code_2_at_once(stack: AppliedStack) -> None:
    started = time.monotonic()
    with run_all(stack, PAYMENT_SUCCESS_RATE="much") as running:
        assert running.process.stdout is not None
        assert "PAYMENT_SUCCESS_RATE=much" in running.process.stdout.read()
        assert running.process.wait(PATIENCE_SECONDS) == 2
    assert time.monotonic() - started < PATIENCE_SECONDS
