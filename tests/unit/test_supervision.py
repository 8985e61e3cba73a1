"""A service stops when the process that started it is gone, and first finishes its work in flight."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.infra.stack import ROOT
from shopflow.config import SUPERVISOR_FD, adopt_environment, load_config
from shopflow.errors import ConfigError
from tests.commands import has_ended
from tests.live import eventually

SUPERVISOR = """
import sys, time
from pathlib import Path
from scripts.services import Command, LogFiles, Services
folder = Path(sys.argv[1])
commands = [Command(n, n, (sys.executable, "-c", sys.argv[2], str(folder / n))) for n in ("inventory", "audit")]
services = Services(commands, {"PYTHONPATH": "."}, LogFiles(folder / "logs"))
services.start()
services.kill("audit", 15)
services.start("audit")
time.sleep(600)
"""
SERVICE = """
import os, sys, threading
from pathlib import Path
from shopflow.config import SUPERVISOR_FD
from shopflow.supervision import stop_when_orphaned
stop = threading.Event()
stop_when_orphaned(int(os.environ[SUPERVISOR_FD]), stop.set)
Path(sys.argv[1] + ".new").write_text(str(os.getpid()))
Path(sys.argv[1] + ".new").replace(sys.argv[1])
stop.wait()
Path(sys.argv[1] + ".drained").touch()
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path), SERVICE], cwd=ROOT) as process:
        yield process
        process.kill()


def pid_of(folder: Path, name: str) -> int:
    eventually((folder / name).exists, bool)
    return int((folder / name).read_text())


def test_services_whose_supervisor_is_killed_finish_their_work_and_end(
    supervisor: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    pids = [pid_of(tmp_path, name) for name in ("inventory", "audit")]
    assert not any(map(has_ended, pids))
    supervisor.kill()
    supervisor.wait()
    eventually(lambda: [has_ended(pid) for pid in pids], all)
    assert {path.name for path in tmp_path.glob("*.drained")} == {"inventory.drained", "audit.drained"}


DEAF = """
import os, sys
from shopflow import supervision
supervision.STOP_SECONDS = 0.1
supervision.stop_when_orphaned(int(sys.argv[1]), lambda: None)
print("ready", flush=True)
while True:
    pass
"""


def test_a_service_that_does_not_stop_is_ended() -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-c", DEAF, str(reading)]
    with subprocess.Popen(command, cwd=ROOT, pass_fds=[reading], stdout=subprocess.PIPE) as process:
        os.close(reading)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.close(writing)
        assert process.wait(20) == 1


RESOURCES = dict.fromkeys(("TOPIC_ARN", "ORDERS_TABLE", "INVENTORY_TABLE", "EVENTS_TABLE", "OPEN_ORDERS_INDEX"), "x")
ENV = {f"SHOPFLOW_{name}": value for name, value in RESOURCES.items()}


def test_the_configuration_has_the_pipe_and_no_grandchild_inherits_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    for name, value in (ENV | {SUPERVISOR_FD: str(reading)}).items():
        monkeypatch.setenv(name, value)
    assert load_config(adopt_environment()).supervisor_fd == reading
    assert SUPERVISOR_FD not in os.environ
    for end in (reading, writing):
        os.close(end)
    assert load_config(ENV).supervisor_fd is None


@pytest.mark.parametrize("text", ["-1", "99999", "pipe"])
def test_a_descriptor_that_is_not_an_inherited_pipe_is_a_wrong_setting(text: str) -> None:
    with pytest.raises(ConfigError, match=SUPERVISOR_FD):
        load_config(ENV | {SUPERVISOR_FD: text})
