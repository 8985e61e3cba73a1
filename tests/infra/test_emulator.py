"""The embedded local AWS: what it keeps over a stop and a crash, and what it leaves alone. On a stack of its own."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.console import QUIET, CommandError
from scripts.infra.clouds import local_client
from scripts.infra.emulator import Embedded
from scripts.infra.stack import HEALTH_PATH, Stack, answers, port_is_taken
from tests.addresses import free_port
from tests.waiting import eventually

ALWAYS = 0.01
"""Seconds between two saves: it saves all the time."""
NewEmulator = Callable[..., Embedded]


@pytest.fixture
def new_emulator(tmp_path: Path) -> Iterator[NewEmulator]:
    """Makes an emulator in `tmp_path`. Without ``save_seconds`` it saves only when it stops."""
    made: list[Embedded] = []

    def new(save_seconds: float | None = None, port: int | None = None, folder: Path = tmp_path) -> Embedded:
        port = port or free_port()
        stack = Stack("own", folder, folder / "env", port, "shopflow-own", save_seconds=save_seconds)
        made.append(Embedded(stack))
        return made[-1]

    yield new
    for emulator in made:
        emulator.kill()


def tables(emulator: Embedded) -> list[str]:
    names: list[str] = local_client("dynamodb", emulator.endpoint).list_tables()["TableNames"]
    return names


def create_table(emulator: Embedded, name: str) -> None:
    local_client("dynamodb", emulator.endpoint).create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )


def saved(folder: Path) -> str:
    """The tables in the newest save, as text."""
    saves = sorted((folder / "emulator" / "saves").glob("[0-9]*/dynamodb.json"), key=lambda file: int(file.parent.name))
    try:
        return saves[-1].read_text() if saves else ""
    except FileNotFoundError:  # a newer save has replaced it
        return ""


def port_of(emulator: Embedded) -> int:
    return int(emulator.endpoint.rpartition(":")[2])


def test_a_crash_loses_nothing_that_was_saved(new_emulator: NewEmulator, tmp_path: Path) -> None:
    emulator = new_emulator(save_seconds=ALWAYS)
    for name in ("first", "second"):
        emulator.start(QUIET)
        create_table(emulator, name)
        eventually(lambda: saved(tmp_path), lambda text, name=name: name in text)  # type: ignore[misc]
        emulator.kill()
        assert not port_is_taken(port_of(emulator)), "a save that was under way keeps the port"
    emulator.start(QUIET)
    assert tables(emulator) == ["first", "second"]


def test_a_stop_keeps_what_came_after_the_last_save(new_emulator: NewEmulator) -> None:
    emulator = new_emulator(save_seconds=ALWAYS)
    emulator.start(QUIET)
    for number in range(20):
        create_table(emulator, f"table-{number:02}")
    emulator.stop(QUIET)
    assert not emulator.process
    assert not port_is_taken(port_of(emulator))
    emulator.start(QUIET)
    assert len(tables(emulator)) == 20


@pytest.fixture
def before_and_after(new_emulator: NewEmulator) -> Embedded:
    """It has saved the table `before`, runs, and has not saved the table `after`."""
    emulator = new_emulator()
    emulator.start(QUIET)
    create_table(emulator, "before")
    emulator.stop(QUIET)
    emulator.start(QUIET)
    create_table(emulator, "after")
    return emulator


def test_a_kill_loses_what_came_since_and_a_save_that_was_cut_off_is_not_loaded(
    before_and_after: Embedded, tmp_path: Path
) -> None:
    before_and_after.kill()
    draft = tmp_path / "emulator" / "saves" / "draft-1"
    draft.mkdir(parents=True)
    (draft / "dynamodb.json").write_text('{"__ministack_format__": 2, "payload": {"tables"')
    before_and_after.start(QUIET)
    assert tables(before_and_after) == ["before"]


def test_a_stop_that_cannot_save_says_so_and_the_next_start_has_what_was_saved_before(
    before_and_after: Embedded, tmp_path: Path
) -> None:
    saves = tmp_path / "emulator" / "saves"
    saves.write_text("a file is in the way, as a full disk would be")
    with pytest.raises(CommandError, match="could not save its state"):
        before_and_after.stop(QUIET)
    saves.unlink()
    before_and_after.start(QUIET)
    assert tables(before_and_after) == ["before"]
    assert "NotADirectoryError" in (tmp_path / "emulator" / "emulator.log.1").read_text(), "the log of the last run"


def test_only_the_moved_folder_can_stop_its_running_emulator(new_emulator: NewEmulator, tmp_path: Path) -> None:
    old, moved = tmp_path / "old", tmp_path / "moved"
    emulator = new_emulator(folder=old)
    emulator.start(QUIET)
    create_table(emulator, "one")
    old.rename(moved)
    with pytest.raises(CommandError, match="which is not the local AWS of this folder"):
        emulator.stop(QUIET)
    there = new_emulator(folder=moved, port=port_of(emulator))
    there.stop(QUIET)
    assert not old.exists()
    there.start(QUIET)
    assert tables(there) == ["one"]


def test_an_emulator_that_is_just_being_started_is_waited_for(new_emulator: NewEmulator, tmp_path: Path) -> None:
    file = tmp_path / "emulator" / "process"
    file.parent.mkdir()
    with file.open("w") as opened, ThreadPoolExecutor(1) as pool:
        fcntl.flock(opened, fcntl.LOCK_EX)
        process = pool.submit(lambda: new_emulator().process)
        with pytest.raises(TimeoutError):
            process.result(0.1)
        opened.write("123 4567")
        opened.flush()
        assert process.result() == (123, 4567)
    file.unlink()


def test_it_is_reachable_from_this_machine_only(new_emulator: NewEmulator) -> None:
    emulator = new_emulator()
    emulator.start(QUIET)
    elsewhere = socket.gethostbyname(socket.gethostname())
    if elsewhere.startswith("127."):
        elsewhere = "127.0.0.2"  # loopback, but not the address that it listens on
    with socket.socket() as probe:
        probe.settimeout(1)
        assert probe.connect_ex((elsewhere, port_of(emulator))) != 0
    assert answers(emulator.endpoint + HEALTH_PATH)


def test_another_process_with_its_old_number_is_not_killed(new_emulator: NewEmulator, tmp_path: Path) -> None:
    (tmp_path / "emulator").mkdir()
    (tmp_path / "emulator" / "process").write_text(f"{os.getpid()} 1")
    emulator = new_emulator()
    assert not emulator.process
    emulator.kill()  # would end this test
