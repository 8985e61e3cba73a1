"""All services in one terminal: `python -m scripts.run_all --help`."""

from __future__ import annotations

import argparse
import json
import logging
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TextIO
from urllib.parse import quote

from scripts.console import FAILED, MISUSED, OK, CommandError, run_command
from scripts.infra.stack import answers, port_is_taken
from scripts.services import ORDER, Command, Lines, Services, parse_scale, service_commands
from shopflow.catalog import Catalog, ServiceSpec
from shopflow.config import Config, configured_catalog, load_config, read_environment
from shopflow.listeners import taken
from shopflow.log import JsonFormatter, TextFormatter
from shopflow.supervision import STOP_SECONDS

ABOUT = """\
Run the Order Service and all workers in one terminal, with each line in its service's colour (JSON lines when the
output is not a terminal). A service that crashes is started again. Ctrl-C stops all: each finishes its work in flight.

variables:
  SCALE=inventory=3,payment=2   more than one process of a worker; they share its queue
  PORT=3001                     where the Order Service listens (default 3000)
  OPS_TOKEN=…                   the operator's token (default: a new one each run, in a link that only a terminal shows;
                                it is never written to a file or a pipe)
  LOG_FORMAT=json|text          the format, whatever the output is
  NO_COLOR=1                    no colours
"""
TOKEN_BYTES = 24
BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""The delay before the first restart, the second, and so on. The last one repeats."""
STEADY_SECONDS = 30.0
"""After a run of this length a crash counts as the first one again."""
POLL_SECONDS = 0.1
_COLOUR = re.compile(r"\x1b\[\d+m")


def main() -> int:
    argparse.ArgumentParser(
        prog="python -m scripts.run_all", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    env = read_environment()
    config, catalog = load_config(env), configured_catalog(env)
    token = config.ops_token or secrets.token_urlsafe(TOKEN_BYTES)
    commands = with_token(service_commands(catalog, parse_scale(env.get("SCALE", ""), catalog)), token)
    if port_is_taken(config.port):
        raise CommandError(f"{taken(config.port)}. Stop it, or choose another port: PORT=3001 make run-all")
    text = config.log_format == "text" or (config.log_format == "auto" and sys.stdout.isatty())
    log = ServiceLog(commands, catalog, sys.stdout, text=text, colour="NO_COLOR" not in env)
    output = Lines(log.line)
    shared = {name: value for name, value in env.items() if name != "OPS_TOKEN"} | {"LOG_FORMAT": "json"}
    try:
        return run(Services(commands, shared, output), log, replace(config, ops_token=token))
    finally:
        output.drain()


def with_token(commands: Sequence[Command], token: str) -> list[Command]:
    """``commands`` with the operator's token for the Order Service, and for no other process."""
    return [replace(one, env={"OPS_TOKEN": token}) if one.service == ORDER else one for one in commands]


def run(services: Services, log: ServiceLog, config: Config) -> int:
    """Run the services until SIGINT, SIGTERM or SIGHUP, or until one of them reports a wrong setting."""
    stop = stop_on_signals()
    first = services.labels[0]
    services.start()
    announcer = threading.Thread(target=announce, args=(config, stop, lambda text: log.say(first, text)))
    announcer.start()
    try:
        code = keep_running(services, stop, log.say)
    finally:
        stop.set()
        killed = services.stop()
        announcer.join()
    for label in killed:
        log.say(label, f"did not stop within {STOP_SECONDS} s: killed", logging.ERROR)
    return code or (FAILED if killed else OK)


def stop_on_signals() -> threading.Event:
    """An event that the first signal to stop sets. A second signal raises `KeyboardInterrupt`, which stops at once."""
    stop = threading.Event()

    def on_signal(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, on_signal)
    return stop


def announce(config: Config, stop: threading.Event, say: Callable[[str], None]) -> None:
    """Say where the storefront and the operator's page are, as soon as the Order Service answers.

    The link with the operator's token goes to a terminal only, because files and pipes are kept.
    """
    url = f"http://{config.host}:{config.port}"
    while not answers(f"{url}/health"):
        if stop.wait(POLL_SECONDS):
            return
    say(f"ShopFlow is up: {url} (Ctrl-C stops all)")
    terminal = next((stream for stream in (sys.stdout, sys.stderr) if stream.isatty()), None)
    if terminal:
        terminal.write(f"The operator's page: {url}/ops#{quote(config.ops_token or '')}\n")
        terminal.flush()
    else:
        say(f"The operator's page: {url}/ops (only a terminal shows its token: export OPS_TOKEN to choose it)")


def keep_running(
    services: Services,
    stop: threading.Event,
    say: Callable[[str, str, int], None],
    back_off_seconds: Sequence[float] = BACK_OFF_SECONDS,
) -> int:
    """Restart each service that crashes, until ``stop`` is set. Then returns 0.

    Returns `MISUSED` as soon as one ends with that code: its settings are wrong, and a restart would not help.
    Calls ``say(label, text, level)`` at each end and each restart.
    """
    crashes: dict[str, int] = {}
    due: dict[str, float] = {}
    while not stop.wait(POLL_SECONDS):
        for ended in services.ended():
            if ended.exit_code == MISUSED:
                say(ended.label, "has a wrong setting: stopping all", logging.ERROR)
                return MISUSED
            in_a_row = 0 if ended.ran_seconds >= STEADY_SECONDS else crashes.get(ended.label, 0)
            crashes[ended.label] = in_a_row + 1
            seconds = back_off_seconds[min(in_a_row, len(back_off_seconds) - 1)]
            say(ended.label, f"{ended.cause}; starting again in {seconds:g} s", logging.ERROR)
            due[ended.label] = time.monotonic() + seconds
        for label in [label for label, at in due.items() if at <= time.monotonic()]:
            del due[label]
            services.start(label)
            say(label, "started again", logging.WARNING)
    return OK


class ServiceLog:
    """One stream with the log lines of all processes: coloured text for people, or JSON lines for programs.

    The processes write JSON.
    """

    def __init__(
        self, commands: Iterable[Command], catalog: Catalog, stream: TextIO, *, text: bool, colour: bool
    ) -> None:
        self._stream = stream
        self._text = text
        self._colour = colour
        self._lock = threading.Lock()
        self._formatters = {
            command.label: _formatter(catalog.services[command.service], command.label, text) for command in commands
        }

    def line(self, label: str, line: str) -> None:
        """Write a line of a process. A line that is not a log record, such as a traceback, becomes one."""
        record = _parse(line)
        if record and not self._text:
            self._write(line)
        else:
            self._write(self._formatters[label].format(record or _record(line, logging.WARNING, time.time())))

    def say(self, label: str, text: str, level: int = logging.INFO) -> None:
        """Write ``text`` as a line of that process."""
        self._write(self._formatters[label].format(_record(text, level, time.time())))

    def _write(self, line: str) -> None:
        with self._lock:
            self._stream.write((line if self._colour else _COLOUR.sub("", line)) + "\n")
            self._stream.flush()


def _formatter(service: ServiceSpec, label: str, text: bool) -> logging.Formatter:
    if not text:
        return JsonFormatter(service.source)
    return TextFormatter(replace(service, title=label.replace(service.name, service.title)))


def _parse(line: str) -> logging.LogRecord | None:
    """The record that `JsonFormatter` wrote as ``line``; None when ``line`` is something else."""
    try:
        fields: dict[str, Any] = json.loads(line)
        created = datetime.fromisoformat(fields.pop("time")).timestamp()
        level = logging.getLevelNamesMapping()[fields.pop("level")]
        text = "\n".join(filter(None, (fields.pop("message"), fields.pop("exception", None))))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return _record(text, level, created, **fields)


def _record(text: str, level: int, created: float, **fields: Any) -> logging.LogRecord:
    facts = {"msg": text, "levelno": level, "levelname": logging.getLevelName(level), "created": created}
    return logging.makeLogRecord(fields | facts)


if __name__ == "__main__":
    sys.exit(run_command(main))
