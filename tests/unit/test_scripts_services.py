"""The processes of `make run-all`, here tiny programs instead of services."""

from __future__ import annotations

import io
import json
import queue
import signal
import sys
import threading
from pathlib import Path

import pytest

from scripts import run_all
from scripts.console import MISUSED, OK
from scripts.run_all import STEADY_SECONDS, ServiceLog, keep_running
from scripts.services import Command, Ended, Lines, LogFiles, Services, parse_scale, service_commands
from shopflow.catalog import load_catalog

CATALOG = load_catalog()
WAIT_SECONDS = 20
SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
CRASH = "print('crashing', flush=True); raise SystemExit(7)"
WRONG_SETTING = "raise SystemExit(2)"


class Heard:
    """The lines of all processes and of `keep_running`, in order."""

    def __init__(self) -> None:
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue()

    def line(self, label: str, text: str, _level: int = 0) -> None:
        self._lines.put((label, text))

    def until(self, label: str, text: str) -> None:
        while (label, text) != self._lines.get(timeout=WAIT_SECONDS):
            continue


@pytest.fixture
def heard() -> Heard:
    return Heard()


def python(label: str, program: str, **env: str) -> Command:
    return Command(label, label, (sys.executable, "-c", program), env)


def services(heard: Heard, **programs: str) -> Services:
    return Services([python(label, program) for label, program in programs.items()], {}, Lines(heard.line))


def test_a_crashed_service_is_restarted_and_the_others_run_on(heard: Heard) -> None:
    with services(heard, inventory=CRASH, audit=SLEEP) as running:
        running.start()
        stop = threading.Event()
        keeper = threading.Thread(target=keep_running, args=(running, stop, heard.line))
        keeper.start()
        try:
            for seconds in (1, 2):
                heard.until("inventory", "crashing")
                heard.until("inventory", f"ended with exit code 7; starting again in {seconds} s")
                heard.until("inventory", "started again")
        finally:
            stop.set()
            keeper.join(WAIT_SECONDS)


def test_a_wrong_setting_of_one_service_stops_all(heard: Heard) -> None:
    with services(heard, inventory=WRONG_SETTING, audit=SLEEP) as running:
        running.start()
        assert keep_running(running, threading.Event(), heard.line) == MISUSED
        heard.until("inventory", "has a wrong setting: stopping all")


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
    assert keep_running(services, stop, lambda _label, text, _level: said.append(text)) == OK
    return [text.split("again in ")[1] for text in said]


def test_the_delay_grows_with_each_crash_in_a_row_and_a_steady_run_resets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert delays(monkeypatch, *[0.1] * 7) == ["1 s", "2 s", "4 s", "8 s", "16 s", "30 s", "30 s"]
    assert delays(monkeypatch, 0.1, STEADY_SECONDS - 1, STEADY_SECONDS, 0.1) == ["1 s", "2 s", "1 s", "2 s"]


def test_a_service_that_ignores_sigterm_is_killed_and_named(heard: Heard) -> None:
    running = services(heard, deaf=DEAF, audit=SLEEP)
    running.start()
    heard.until("deaf", "ready")
    assert running.stop(seconds=0.2) == ["deaf"]


def test_a_log_file_gets_stdout_and_stderr_of_all_runs(tmp_path: Path) -> None:
    files = LogFiles(tmp_path / "logs")
    command = python(
        "audit", "import sys, time; print('out', flush=True); print('err', file=sys.stderr); time.sleep(60)"
    )
    with Services([command], {}, files) as running:
        for runs in (1, 2):
            running.start("audit")
            while sorted(files.path("audit").read_text().split()) != ["err"] * runs + ["out"] * runs:
                continue
            assert running.kill("audit") == -signal.SIGKILL
            assert running.ended() == []


def test_each_service_has_one_process_and_a_scaled_one_has_numbered_ones() -> None:
    commands = service_commands(CATALOG, parse_scale("inventory=2", CATALOG))
    labels = ["order", "inventory-1", "inventory-2", "payment", "notification", "audit"]
    assert [command.label for command in commands] == labels
    assert commands[0].argv[-1] == "api"
    assert commands[1].argv[-2:] == ("workers", "inventory")


def written(*lines: str, text: bool, colour: bool = True) -> str:
    stream = io.StringIO()
    log = ServiceLog(service_commands(CATALOG, {"inventory": 2}), CATALOG, stream, text=text, colour=colour)
    for line in lines:
        log.line("inventory-2", line)
    log.say("inventory-2", "started 100% again")
    return stream.getvalue()


def test_a_terminal_gets_coloured_text_unless_no_colour_is_wanted() -> None:
    shown = written("\x1b[32mInventory\x1b[0m reserved", text=True)
    assert shown.startswith("\x1b[32mInventory\x1b[0m reserved\n")
    assert "\x1b[32mInventory-2" in shown
    assert "\x1b" not in written("\x1b[32mInventory\x1b[0m reserved", text=True, colour=False)


def test_a_program_gets_json_lines_also_for_what_is_no_log_record() -> None:
    lines = ['{"message": "reserved"}', "Traceback (most recent call last):", "[1]", ""]
    records = [json.loads(line) for line in written(*lines, text=False).splitlines()]
    assert [record["message"] for record in records] == ["reserved", *lines[1:], "started 100% again"]
    assert records[1]["service"] == "inventory-service"


def test_a_variable_for_one_process_reaches_no_other(heard: Heard) -> None:
    program = "import os; print(os.environ.get('ALONE'), os.environ.get('SHARED'), flush=True)"
    commands = [python("one", program, ALONE="mine"), python("other", program)]
    with Services(commands, {"SHARED": "yes"}, Lines(heard.line)) as running:
        running.start("one")
        heard.until("one", "mine yes")
        running.start("other")
        heard.until("other", "None yes")
    assert "mine" not in repr(commands)
