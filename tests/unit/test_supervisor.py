"""What the supervisor of `make run-all` does to processes on request, and that each fault ends by itself."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.console import CommandError
from scripts.services import Command, LogFiles, Services
from scripts.supervisor import Supervisor
from tests.waiting import eventually

# A service that only runs: the tests kill, freeze and restart it.
SLEEPER = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Two processes of payment and one of audit. A fault ends after half a second."""
    commands = [Command(label, label.partition("-")[0], SLEEPER) for label in ("payment-1", "payment-2", "audit")]
    stop = threading.Event()
    with Services(commands, {}, LogFiles(tmp_path)) as services:
        services.start()
        supervisor = Supervisor(services, lambda *_: None, fault_seconds=0.5)

        def look() -> None:
            while not stop.wait(0.02):
                supervisor.look()

        looking = threading.Thread(target=look)
        looking.start()
        yield supervisor
        stop.set()
        looking.join()


def state(supervisor: Supervisor) -> str:
    return str(supervisor.state(["payment"])["services"]["payment"]["state"])


@pytest.mark.parametrize(
    ("act", "broken", "same"),
    [(Supervisor.kill, "stopped", False), (Supervisor.stop, "stopped", False), (Supervisor.freeze, "frozen", True)],
)
def test_a_broken_service_is_back_by_itself(
    supervisor: Supervisor, act: Callable[[Supervisor, str], None], broken: str, same: bool
) -> None:
    before = supervisor.pids()
    act(supervisor, "payment")
    assert state(supervisor) == broken
    (fault,) = supervisor.state([])["faults"]
    assert fault["name"].endswith(" payment")
    eventually(lambda: state(supervisor), lambda seen: seen == "running")
    after = supervisor.pids()
    assert supervisor.state([])["faults"] == []
    assert {label: before[label] == after[label] for label in before} == {
        "payment-1": same,
        "payment-2": same,
        "audit": True,
    }


def test_a_process_that_crashes_is_started_again(supervisor: Supervisor) -> None:
    before = supervisor.pids()["audit"]
    os.kill(before, signal.SIGKILL)
    eventually(lambda: supervisor.pids().get("audit"), lambda pid: pid not in (None, before))


def test_a_restart_ends_the_fault_and_gives_new_processes(supervisor: Supervisor) -> None:
    before = supervisor.pids()
    supervisor.freeze("payment")
    supervisor.restart("payment")
    assert (state(supervisor), supervisor.state([])["faults"]) == ("running", [])
    assert supervisor.pids()["payment-1"] != before["payment-1"]


def test_added_processes_are_removed_again(supervisor: Supervisor) -> None:
    before = supervisor.pids()
    added = supervisor.scale("payment", 4)
    assert len(supervisor.pids()) == 5
    supervisor.remove(added)
    assert supervisor.pids() == before


def test_the_end_of_a_fault_is_called_once(supervisor: Supervisor) -> None:
    ended: list[str] = []
    supervisor.add_fault("sooner", lambda: ended.append("sooner"))
    supervisor.end_faults()
    supervisor.add_fault("by itself", lambda: ended.append("by itself"))
    eventually(lambda: ended, lambda seen: len(seen) == 2)
    supervisor.end_faults()
    assert ended == ["sooner", "by itself"]


def test_there_must_be_such_a_service(supervisor: Supervisor) -> None:
    with pytest.raises(CommandError, match="there is no service shipping"):
        supervisor.kill("shipping")
