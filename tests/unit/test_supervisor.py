"""How the processes of `make run-all` are kept running, stopped, and broken on request."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.console import MISUSED
from scripts.run_all import keep_running
from scripts.services import Command, Ended, Lines, LogFiles, Services
from scripts.supervisor import STEADY_SECONDS, Supervisor
from tests.waiting import eventually

# A service that only runs: the tests kill, freeze and restart it.
SLEEPER = (sys.executable, "-c", "import time; time.sleep(60)")
# A program that ignores SIGTERM and does not end by itself: the supervisor has to kill it.
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


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


def delays(monkeypatch: pytest.MonkeyPatch, *ran_seconds: float) -> list[str]:
    """The delays that are announced when a service crashes again and again after these times."""
    said: list[str] = []
    services, times = Services([], {}, Lines(print)), list(ran_seconds)
    monkeypatch.setattr(services, "ended", lambda: [Ended("audit", 1, times.pop(0))])
    supervisor = Supervisor(services, lambda _label, text, _level: said.append(text))
    while times:
        supervisor.look()
    return [text.split("again in ")[1] for text in said]


def test_the_delay_grows_with_each_crash_in_a_row_and_a_steady_run_resets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert delays(monkeypatch, *[0.1] * 7) == ["1 s", "2 s", "4 s", "8 s", "16 s", "30 s", "30 s"]
    assert delays(monkeypatch, 0.1, STEADY_SECONDS - 1, STEADY_SECONDS, 0.1) == ["1 s", "2 s", "1 s", "2 s"]


def test_a_service_that_ignores_sigterm_is_killed_and_named() -> None:
    lines: queue.Queue[str] = queue.Queue()
    command = Command("deaf", "deaf", (sys.executable, "-c", DEAF))
    running = Services([command], {}, Lines(lambda _, text: lines.put(text)))
    running.start()
    assert lines.get(timeout=20) == "ready"
    assert running.stop(seconds=0.2) == ["deaf"]


def test_a_service_with_a_wrong_setting_ends_all() -> None:
    command = Command("audit", "audit", (sys.executable, "-c", f"raise SystemExit({MISUSED})"))
    with Services([command], {}, Lines(print)) as services:
        services.start()
        assert keep_running(Supervisor(services, lambda *_: None), None, threading.Event()) == MISUSED
