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
from tests.live import eventually

QUIET = Progress()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def stack_in(folder: Path, port: int, save_seconds: float | None = None) -> Stack:
    return Stack("own", folder, folder / "env", port, "shopflow-own", save_seconds=save_seconds)


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Embedded]:
    """Saves when it stops, and never meanwhile."""
    emulator = Embedded(stack_in(tmp_path, free_port()))
    yield emulator
    emulator.kill()


@pytest.fixture
def saving(tmp_path: Path) -> Iterator[Embedded]:
    """Saves all the time."""
    emulator = Embedded(stack_in(tmp_path, free_port(), save_seconds=0.01))
    yield emulator
    emulator.kill()


def saved(folder: Path) -> str:
    """The tables in the newest save, as text."""
    saves = sorted((folder / "emulator" / "saves").glob("[0-9]*/dynamodb.json"), key=lambda file: int(file.parent.name))
    try:
        return saves[-1].read_text() if saves else ""
    except FileNotFoundError:  # a newer one has come
        return ""


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


def sqs(emulator: Embedded):  # type: ignore[no-untyped-def]
    session = boto3.session.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    return session.client("sqs", region_name="us-east-1", endpoint_url=emulator.endpoint)


def test_after_a_kill_it_has_what_was_saved(saving: Embedded, tmp_path: Path) -> None:
    saving.start(QUIET)
    create_table(saving, "first")
    eventually(lambda: saved(tmp_path), lambda text: "first" in text)
    saving.kill()
    saving.start(QUIET)
    create_table(saving, "second")
    eventually(lambda: saved(tmp_path), lambda text: "second" in text)
    saving.kill()
    saving.start(QUIET)
    assert table_names(saving) == ["first", "second"]


def test_queues_and_tables_are_saved_as_they_were_at_the_same_moment(saving: Embedded, tmp_path: Path) -> None:
    """Each message is sent after the item of its number was put, so of no moment there is one without its item."""
    saving.start(QUIET)
    create_table(saving, "items")
    url = sqs(saving).create_queue(QueueName="messages")["QueueUrl"]
    put, send = dynamodb(saving).put_item, sqs(saving).send_message
    for number in range(300):
        put(TableName="items", Item={"id": {"S": str(number)}})
        send(QueueUrl=url, MessageBody=str(number))
    saving.kill()
    saving.start(QUIET)
    items = dynamodb(saving).scan(TableName="items", Select="COUNT")["Count"]
    attributes = sqs(saving).get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    assert items > 0
    assert items - int(attributes["Attributes"]["ApproximateNumberOfMessages"]) in (0, 1)


def test_a_stop_saves_more_than_the_save_before_it(saving: Embedded, tmp_path: Path) -> None:
    saving.start(QUIET)
    for number in range(20):
        create_table(saving, f"table-{number:02}")
    saving.stop(QUIET)
    saving.start(QUIET)
    assert len(table_names(saving)) == 20


def test_a_save_that_was_cut_off_is_not_loaded(emulator: Embedded, tmp_path: Path) -> None:
    emulator.start(QUIET)
    create_table(emulator, "before")
    emulator.stop(QUIET)
    draft = tmp_path / "emulator" / "saves" / "draft"
    draft.mkdir(parents=True)
    (draft / "dynamodb.json").write_text('{"__ministack_format__": 2, "payload": {"tables"')
    emulator.start(QUIET)
    assert table_names(emulator) == ["before"]


def test_while_it_saves_it_keeps_no_port_and_no_connection_open(saving: Embedded) -> None:
    saving.start(QUIET)
    create_table(saving, "here")
    saving.kill()
    assert not port_is_taken(int(saving.endpoint.rpartition(":")[2]))


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
