"""The embedded local AWS: what it keeps, and whom it leaves alone. On a stack of this module's own."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from scripts.console import CommandError, Progress
from scripts.infra.emulator import Embedded
from scripts.infra.envfile import CREDENTIALS
from scripts.infra.health import HEALTH_PATH, LOOPBACK, answers, port_is_taken
from scripts.infra.stack import Stack

QUIET = Progress()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def stack_in(folder: Path, port: int) -> Stack:
    return Stack("own", folder, folder / "env", port, "shopflow-own")


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Embedded]:
    emulator = Embedded(stack_in(tmp_path, free_port()))
    yield emulator
    emulator.kill()


def table_names(emulator: Embedded) -> list[str]:
    names: list[str] = dynamodb(emulator).list_tables()["TableNames"]
    return names


def create_table(emulator: Embedded, name: str) -> None:
    dynamodb(emulator).create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )


def dynamodb(emulator: Embedded):  # type: ignore[no-untyped-def]
    session = boto3.session.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    return session.client("dynamodb", region_name="us-east-1", endpoint_url=emulator.endpoint)


def test_a_stop_keeps_what_it_holds_and_a_kill_loses_what_came_since(emulator: Embedded) -> None:
    emulator.start(QUIET)
    create_table(emulator, "before")
    emulator.stop(QUIET)
    emulator.start(QUIET)
    create_table(emulator, "after")
    emulator.kill()
    emulator.start(QUIET)
    assert table_names(emulator) == ["before"]


def test_starting_it_twice_starts_one(emulator: Embedded) -> None:
    emulator.start(QUIET)
    create_table(emulator, "here")
    emulator.start(QUIET)
    assert table_names(emulator) == ["here"]


def test_it_is_reachable_from_this_machine_only(emulator: Embedded) -> None:
    emulator.start(QUIET)
    elsewhere = socket.gethostbyname(socket.gethostname())
    if elsewhere.startswith("127."):
        elsewhere = "127.0.0.2"  # loopback, but not the address it was bound to
    port = int(emulator.endpoint.rpartition(":")[2])
    with socket.socket() as probe:
        probe.settimeout(1)
        assert probe.connect_ex((elsewhere, port)) != 0
    assert answers(emulator.endpoint + HEALTH_PATH)


def test_a_taken_port_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CommandError) as raised:
            Embedded(stack_in(tmp_path, port)).start(QUIET)
    assert "\n" not in str(raised.value)
    assert f"Port {port} is taken" in str(raised.value)
    assert "SHOPFLOW_PORT" in str(raised.value)


def test_another_port_than_the_one_it_runs_on_is_refused(emulator: Embedded, tmp_path: Path) -> None:
    emulator.start(QUIET)
    with pytest.raises(CommandError, match="already runs on port"):
        Embedded(stack_in(tmp_path, free_port())).start(QUIET)


def test_a_process_that_took_over_its_number_is_not_signalled(tmp_path: Path) -> None:
    (tmp_path / "emulator").mkdir()
    ours = {"pid": os.getpid(), "started": "long ago", "port": 1}
    (tmp_path / "emulator" / "process.json").write_text(json.dumps(ours))
    emulator = Embedded(stack_in(tmp_path, free_port()))
    assert not emulator.is_running
    emulator.kill()  # would end this test


def test_after_a_stop_its_port_is_free(emulator: Embedded) -> None:
    emulator.start(QUIET)
    emulator.stop(QUIET)
    assert not port_is_taken(int(emulator.endpoint.rpartition(":")[2]))
    assert not emulator.is_running
