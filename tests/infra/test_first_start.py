"""The first `make infra-up` ends with a working stack, whatever answer is lost and whichever process is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from scripts.console import Progress
from scripts.infra import lifecycle
from scripts.infra.emulator import Embedded
from scripts.infra.stack import Stack
from scripts.infra.terraform import Module, init, run
from shopflow.environment import LOOPBACK
from tests.addresses import free_port
from tests.commands import Process, processes
from tests.infra.clone import FIRST_START_SECONDS, Clone
from tests.lossy_cloud import Faults, lossy
from tests.sizes import full
from tests.stack import AppliedStack
from tests.waiting import eventually

ROLES = {"CreateRole", "CreatePolicy", "PutRolePolicy"}
CREATE = {*ROLES, "CreateTable", "PutResourcePolicy", "CreateQueue", "CreateTopic", "Subscribe"}
"""The calls that make the resources of Terraform's state, one for each. `terraform_data` exists in that state only."""
AT_ONCE = 6
"""First starts side by side. Each waits 50 s for the provider, and needs 13 s of a processor and half a GiB."""
EVERYTHING = "make, Python, Terraform and the emulator"


@pytest.fixture
def providers(stack: AppliedStack, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the provider, so that nothing is downloaded."""
    folder = stack.stack.folder / "terraform-data" / "providers"
    monkeypatch.setenv("TF_PLUGIN_DIR", str(folder))
    return folder


class BehindAProxy(Embedded):
    """The emulator, for callers that reach it through a proxy."""

    def __init__(self, stack: Stack, proxy: int) -> None:
        super().__init__(stack)
        self._proxy = proxy

    def start(self, progress: Progress) -> None:
        super().start(progress)
        self.endpoint = f"http://{LOOPBACK}:{self._proxy}"


@full
def test_every_create_call_may_lose_its_answer(providers: Path, tmp_path: Path) -> None:
    """All in one start: each repeated call finds its own resource, and the start uses all that it finds."""
    stack, proxy = Stack("lossy", tmp_path, tmp_path / "env", free_port(), "shopflow"), free_port()
    cloud, faults = BehindAProxy(stack, proxy), Faults(lose={*CREATE, "SetTopicAttributes"})
    with lossy(proxy, stack.port, faults), mock.patch.object(lifecycle, "choose", return_value=cloud):
        try:
            lifecycle.up(stack, {}, Progress())
            module = Module(stack, cloud.endpoint)
            init(module)
            assert "No changes" in run(module, module.changing("plan"))
        finally:
            cloud.kill()
    resources = json.loads((tmp_path / "terraform.tfstate").read_text())["resources"]
    in_cloud = [one for one in resources if one["mode"] == "managed" and one["type"] != "terraform_data"]
    made = [instance for one in in_cloud for instance in one["instances"]]
    assert len([operation for operation, *_ in faults.lost if operation in CREATE]) == len(made) > 0


@dataclass(frozen=True, slots=True)
class Kill:
    """Kills ``victim`` when the first start prints ``moment``."""

    moment: str
    victim: str

    def __str__(self) -> str:
        return f"{self.victim} at {self.moment!r}"


KILLS = [
    Kill("aws_sns_topic_subscription", "the emulator"),
    Kill("this still creating", EVERYTHING),
    Kill("dlq creation complete", "Terraform"),
    Kill("dlq still creating", "Python"),
    Kill(" 9 of ", "the emulator"),
    Kill(" 1 of ", EVERYTHING),
    Kill("Applying Terraform", "Terraform"),
    Kill("Preparing Terraform", "make"),
    Kill("✔ Starting a local AWS", EVERYTHING),
    Kill("Starting a local AWS", "Python"),
]


@full
def test_every_process_may_be_killed_at_any_moment(providers: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        folders = [tmp_path / str(number) for number in range(len(KILLS))]
        problems = list(pool.map(problem_after, KILLS, folders))
    assert {str(kill): problem for kill, problem in zip(KILLS, problems, strict=True) if problem} == {}


def problem_after(kill: Kill, folder: Path) -> str:
    """What is wrong after a first start with ``kill`` and `make e2e` after it; empty if nothing is."""
    clone = Clone(folder)
    shell = {"SHOPFLOW_PORT": str(clone.stack.port), "TF_PLUGIN_DIR": os.environ["TF_PLUGIN_DIR"]}
    try:
        start_and_kill(clone, clone.environment(**shell), kill)
        again = clone.run("make", "-s", "e2e", env=shell, seconds=FIRST_START_SECONDS)
        if again.returncode != 0:
            return again.stdout + again.stderr
        left = [process for process in processes() if str(folder) in process.args and "terraform" in process.args]
        return f"left over: {left}" if left else ""
    finally:
        clone.emulator.kill()
        shutil.rmtree(folder, ignore_errors=True)


def start_and_kill(clone: Clone, env: dict[str, str], kill: Kill) -> None:
    command = ["make", "-s", "infra-up"]
    with subprocess.Popen(
        command, cwd=clone.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if kill.moment in line:
                break
        else:
            raise AssertionError(f"It ended without {kill.moment!r}: {''.join(seen)}")
        for pid in eventually(lambda: victims(process.pid, clone.emulator, kill.victim)):
            with suppress(ProcessLookupError):  # it ended because another one did
                os.kill(pid, signal.SIGKILL)
        if kill.victim not in ("make", EVERYTHING):
            process.stdout.read()


def victims(make: int, emulator: Embedded, victim: str) -> list[int]:
    """The processes of the start to kill."""
    emulators = [emulator.process.pid] if emulator.process else []
    below = list(_descendants(make))
    match victim:
        case "make":
            return [make]
        case "the emulator":
            return emulators
        case "Python" | "Terraform":
            word = {"Python": "-m scripts.infra", "Terraform": "terraform apply"}[victim]
            return [process.pid for process in below if word in process.args and "/bin/sh" not in process.args]
    return [make, *(process.pid for process in below), *emulators]


def _descendants(pid: int) -> Iterator[Process]:
    children: dict[int, list[Process]] = {}
    for process in processes():
        children.setdefault(process.parent, []).append(process)
    waiting = [pid]
    while waiting:
        found = children.get(waiting.pop(), [])
        yield from found
        waiting += [process.pid for process in found]
