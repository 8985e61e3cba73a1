"""When `make run-all` restarts or kills a service. tests/infra/test_run_all.py does so with the real ones."""

from __future__ import annotations

import queue
import sys
import threading

import pytest

from scripts import run_all
from scripts.console import MISUSED, OK
from scripts.run_all import keep_running
from scripts.services import Command, Ended, Lines, Services
from scripts.supervisor import STEADY_SECONDS, Supervisor

# A program that ignores SIGTERM and does not end by itself: the supervisor has to kill it.
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


def delays(monkeypatch: pytest.MonkeyPatch, *ran_seconds: float) -> list[str]:
    """The delays that are announced when a service crashes again and again after these times."""
    said: list[str] = []
    stop = threading.Event()
    crashes = [Ended("audit", 1, seconds) for seconds in ran_seconds]

    def ended() -> list[Ended]:
        if len(crashes) == 1:
            stop.set()
        return [crashes.pop(0)]

    services = Services([], {}, Lines(print))
    monkeypatch.setattr(services, "ended", ended)
    monkeypatch.setattr(run_all, "POLL_SECONDS", 0)
    supervisor = Supervisor(services, lambda _label, text, _level: said.append(text))
    assert keep_running(supervisor, None, stop) == OK
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
