"""A service stops when the process that started it is gone. tests/infra/test_run_all.py kills a real one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from scripts.infra.stack import ROOT
from shopflow.config import SUPERVISOR_FD, adopt_environment, load_config
from shopflow.errors import ConfigError

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
