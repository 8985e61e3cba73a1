"""The processes behind `make run-all`, with tiny programs in the services' place."""

from __future__ import annotations

import io
import json
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.console import MISUSED, OK
from scripts.run_all import with_token
from scripts.service_log import ServiceLog
from scripts.services import Command, Lines, LogFiles, Services, parse_scale, service_commands
from scripts.watch import BACK_OFF_SECONDS, STEADY_SECONDS, delay, next_count, watch
from shopflow.catalog import load_catalog
from shopflow.errors import ConfigError

CATALOG = load_catalog()
PATIENCE_SECONDS = 20
SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
CRASH = "print('crashing', flush=True); raise SystemExit(7)"
WRONG_SETTING = "raise SystemExit(2)"


class Heard:
    """What was said, in order; `until` waits for a line."""

    def __init__(self) -> None:
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue()

    def line(self, label: str, text: str) -> None:
        self._lines.put((label, text))

    def say(self, label: str, text: str, level: int) -> None:
        self.line(label, text)

    def until(self, label: str, text: str) -> None:
        while (label, text) != self._lines.get(timeout=PATIENCE_SECONDS):
            continue


def services(heard: Heard, **programs: str) -> Services:
    commands = [Command(label, label, (sys.executable, "-c", program)) for label, program in programs.items()]
    return Services(commands, {}, Lines(heard.line))


@contextmanager
def watched(watched_services: Services, heard: Heard) -> Iterator[Callable[[], int]]:
    """Watch in a thread. Yields a function that ends the watch and returns its exit code."""
    stop = threading.Event()
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(watch(watched_services, stop, heard.say, (0.01,))))
    with watched_services:
        watched_services.start()
        thread.start()

        def end() -> int:
            thread.join(PATIENCE_SECONDS)
            return codes[0]

        try:
            yield end
        finally:
            stop.set()
            thread.join(PATIENCE_SECONDS)


def test_a_crashed_service_is_started_again_and_the_others_run_on() -> None:
    heard = Heard()
    with watched(services(heard, inventory=CRASH, audit=SLEEP), heard):
        for _ in range(2):
            heard.until("inventory", "crashing")
            heard.until("inventory", "ended with exit code 7; starting again in 0.01 s")
            heard.until("inventory", "started again")


def test_a_service_with_a_wrong_setting_is_not_started_again() -> None:
    heard = Heard()
    with watched(services(heard, inventory=WRONG_SETTING, audit=SLEEP), heard) as end:
        heard.until("inventory", "has a wrong setting: stopping all")
        assert end() == MISUSED


def test_a_watch_that_is_told_to_stop_ends_well() -> None:
    heard = Heard()
    stop = threading.Event()
    stop.set()
    with services(heard, audit=SLEEP) as running:
        assert watch(running, stop, heard.say) == OK


def test_a_killed_service_has_ended_and_can_be_started_again() -> None:
    heard = Heard()
    with services(heard, audit=SLEEP) as running:
        running.start("audit")
        heard.until("audit", "ready")
        assert running.kill("audit") == -signal.SIGKILL
        assert running.ended() == []
        running.start("audit")
        heard.until("audit", "ready")
        running.restart("audit")
        heard.until("audit", "ready")


def test_starting_what_runs_changes_nothing() -> None:
    heard = Heard()
    with services(heard, audit=SLEEP) as running:
        running.start()
        heard.until("audit", "ready")
        running.start()
        assert running.kill("audit", signal.SIGTERM) == -signal.SIGTERM
        assert running.stop() == []


def test_a_service_that_does_not_stop_is_killed_and_named() -> None:
    heard = Heard()
    running = services(heard, deaf=DEAF, audit=SLEEP)
    running.start()
    heard.until("deaf", "ready")
    assert running.stop(seconds=0.2) == ["deaf"]


def test_log_files_get_what_each_process_writes_over_all_its_runs(tmp_path: Path) -> None:
    files = LogFiles(tmp_path / "logs")
    command = Command(
        "audit", "audit", (sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)")
    )
    with Services([command], {}, files) as running:
        for _ in range(2):
            running.start()
            while not running.ended():
                continue
    assert sorted(files.path("audit").read_text().split()) == ["err", "err", "out", "out"]


def test_each_service_of_the_catalogue_has_one_process_and_a_scaled_one_has_numbered_ones() -> None:
    commands = service_commands(CATALOG, {"inventory": 2})
    assert [command.label for command in commands] == [
        "order",
        "inventory-1",
        "inventory-2",
        "payment",
        "notification",
        "audit",
    ]
    assert commands[0].argv[-1] == "api"
    assert commands[1].argv[-2:] == ("workers", "inventory")


def test_scale_is_a_number_of_instances_for_each_service() -> None:
    assert parse_scale("inventory=3, payment=2", CATALOG) == {"inventory": 3, "payment": 2}
    assert parse_scale("", CATALOG) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("order=2", "order cannot be scaled"),
        ("fraud=2", "'fraud' is none of inventory, payment, notification, audit"),
        ("audit", "needs a number from 1 to 32"),
        ("audit=0", "needs a number from 1 to 32"),
        ("audit=33", "needs a number from 1 to 32"),
        ("audit=-1", "needs a number from 1 to 32"),
    ],
)
def test_a_scale_that_cannot_be_says_why(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_scale(text, CATALOG)


def test_the_wait_grows_with_every_crash_in_a_row_up_to_a_limit() -> None:
    waits = [delay(crashes, BACK_OFF_SECONDS) for crashes in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_crash_after_a_steady_run_counts_as_the_first() -> None:
    assert next_count(5, STEADY_SECONDS - 1) == 6
    assert next_count(5, STEADY_SECONDS) == 1


JSON_LINE = json.dumps(
    {
        "time": "2026-01-02T03:04:05.678Z",
        "level": "INFO",
        "service": "inventory-service",
        "orderId": "ORD-A1B2C3D4",
        "message": "reserved 100% of it",
    }
)


def written(line: str, *, text: bool, colour: bool = True) -> str:
    stream = io.StringIO()
    ServiceLog(service_commands(CATALOG, {"inventory": 2}), CATALOG, stream, text=text, colour=colour).line(
        "inventory-2", line
    )
    return stream.getvalue()


def test_a_terminal_shows_the_instance_in_its_service_s_colour() -> None:
    shown = written(JSON_LINE, text=True)
    assert "\x1b[32mInventory-2" in shown
    assert shown.startswith("03:04:05 ")
    assert shown.endswith("ORD-A1B2C3D4 reserved 100% of it\n")


def test_no_color_is_respected() -> None:
    assert "\x1b" not in written(JSON_LINE, text=True, colour=False)


def test_json_lines_pass_through_as_they_are() -> None:
    assert written(JSON_LINE, text=False) == JSON_LINE + "\n"


@pytest.mark.parametrize("line", ["Traceback (most recent call last):", "[1]", "{}", ""])
def test_a_line_that_is_no_log_record_becomes_one(line: str) -> None:
    record = json.loads(written(line, text=False))
    assert (record["service"], record["message"]) == ("inventory-service", line)
    assert line in written(line, text=True)


def test_a_variable_for_one_process_reaches_no_other() -> None:
    heard = Heard()
    program = "import os; print(os.environ.get('SECRET'), os.environ.get('SHARED'), flush=True)"
    commands = [
        Command("one", "one", (sys.executable, "-c", program), {"SECRET": "hush"}),
        Command("other", "other", (sys.executable, "-c", program)),
    ]
    with Services(commands, {"SHARED": "yes"}, Lines(heard.line)) as running:
        running.start()
        heard.until("one", "hush yes")
    with Services(commands[1:], {"SHARED": "yes"}, Lines(heard.line)) as running:
        running.start()
        heard.until("other", "None yes")


def test_only_the_order_service_is_told_the_operators_token() -> None:
    commands = with_token(service_commands(CATALOG, {"inventory": 2}), "a-token")
    assert {one.label: dict(one.env) for one in commands if one.env} == {"order": {"OPS_TOKEN": "a-token"}}
    assert "a-token" not in repr(commands)
