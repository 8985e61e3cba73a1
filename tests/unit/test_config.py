"""The operator's token is never shown, and a service stops when the process that started it is gone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from scripts.infra.stack import ROOT
from shopflow.config import MIN_TOKEN_CHARACTERS, SUPERVISOR_FD, adopt_environment, load_config
from shopflow.errors import ConfigError

RESOURCES = dict.fromkeys(("TOPIC_ARN", "ORDERS_TABLE", "INVENTORY_TABLE", "EVENTS_TABLE", "OPEN_ORDERS_INDEX"), "x")
ENV = {f"SHOPFLOW_{name}": value for name, value in RESOURCES.items()}
TOKEN = "q" * MIN_TOKEN_CHARACTERS
DEAF = """
import os, sys
from shopflow import supervision
supervision.STOP_SECONDS = 0.1
supervision.stop_when_orphaned(int(sys.argv[1]), lambda: None)
print("ready", flush=True)
while True:
    pass
"""


def test_a_short_token_is_refused_and_no_token_is_shown() -> None:
    with pytest.raises(ConfigError, match=f"OPS_TOKEN must have at least {MIN_TOKEN_CHARACTERS}") as error:
        load_config(ENV | {"OPS_TOKEN": TOKEN[1:]})
    assert TOKEN[1:] not in str(error.value)
    assert TOKEN not in repr(load_config(ENV | {"OPS_TOKEN": TOKEN}))
    assert load_config(ENV | {"OPS_TOKEN": ""}).ops_token is None


def test_the_processes_that_a_service_starts_inherit_neither_the_token_nor_the_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    given = {"OPS_TOKEN": TOKEN, SUPERVISOR_FD: str(reading)}
    for name, value in (ENV | given | {"SHOPFLOW_ENV_FILE": os.devnull}).items():
        monkeypatch.setenv(name, value)
    config = load_config(adopt_environment())
    assert (config.ops_token, config.supervisor_fd) == (TOKEN, reading)
    assert not given.keys() & os.environ.keys()
    for end in (reading, writing):
        os.close(end)


@pytest.mark.parametrize("text", ["-1", "99999", "pipe"])
def test_a_descriptor_that_is_not_an_inherited_pipe_is_a_wrong_setting(text: str) -> None:
    with pytest.raises(ConfigError, match=SUPERVISOR_FD):
        load_config(ENV | {SUPERVISOR_FD: text})


def test_a_service_that_does_not_stop_without_its_supervisor_is_ended() -> None:
    """tests/infra/test_run_all.py kills a real supervisor."""
    reading, writing = os.pipe()
    command = [sys.executable, "-c", DEAF, str(reading)]
    with subprocess.Popen(command, cwd=ROOT, pass_fds=[reading], stdout=subprocess.PIPE) as process:
        os.close(reading)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.close(writing)
        assert process.wait(20) == 1
