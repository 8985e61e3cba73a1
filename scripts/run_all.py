"""All services in one terminal: `python -m scripts.run_all --help`."""

from __future__ import annotations

import logging
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TextIO
from urllib.parse import quote

from scripts.console import FAILED, MISUSED, OK, parser_of, run_command
from scripts.infra.stack import answers
from scripts.services import ORDER, Command, Lines, Services, check_settings, parse_scale, service_commands, url_of
from shopflow.catalog import Catalog
from shopflow.config import Config, configured_catalog, load_config
from shopflow.environment import read_environment
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
MAX_BACK_OFF_SECONDS = 30.0
"""The delay before a restart doubles with each crash, from 1 s to this."""
STEADY_SECONDS = 30.0
"""After a run of this length a crash counts as the first one again."""
POLL_SECONDS = 0.1
_COLOUR = re.compile(r"\x1b\[\d+m")


def main() -> int:
    parser_of("scripts.run_all", ABOUT).parse_args()
    env = read_environment()
    config, catalog = load_config(env), configured_catalog(env)
    token = config.ops_token or secrets.token_urlsafe(TOKEN_BYTES)
    commands = service_commands(catalog, parse_scale(env.get("SCALE", ""), catalog))
    check_settings(config, catalog)
    text = config.log_format == "text" or (config.log_format == "auto" and sys.stdout.isatty())
    log = ServiceLog(commands, catalog, sys.stdout, text=text, colour=not env.get("NO_COLOR"))
    output = Lines(log.line)
    shared = {name: value for name, value in env.items() if name != "OPS_TOKEN"} | {"LOG_FORMAT": log.log_format}
    with_token = [replace(one, env={"OPS_TOKEN": token}) if one.service == ORDER else one for one in commands]
    try:
        return run(Services(with_token, shared, output), log, replace(config, ops_token=token))
    finally:
        output.drain()


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
    url = url_of(config)
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


def keep_running(services: Services, stop: threading.Event, say: Callable[[str, str, int], None]) -> int:
    """Restart each service that crashes, until ``stop`` is set. Then returns 0.

    Returns `MISUSED` as soon as one ends with that code: its settings are wrong, and a restart would not help.
    Calls ``say(label, text, level)`` at each end and each restart.
    """
    back_off: dict[str, float] = {}
    due: dict[str, float] = {}
    while not stop.wait(POLL_SECONDS):
        for ended in services.ended():
            if ended.exit_code == MISUSED:
                say(ended.label, "has a wrong setting: stopping all", logging.ERROR)
                return MISUSED
            steady = ended.ran_seconds >= STEADY_SECONDS or ended.label not in back_off
            seconds = 1.0 if steady else min(2 * back_off[ended.label], MAX_BACK_OFF_SECONDS)
            back_off[ended.label] = seconds
            say(ended.label, f"{ended.cause}; starting again in {seconds:g} s", logging.ERROR)
            due[ended.label] = time.monotonic() + seconds
        for label in [label for label, at in due.items() if at <= time.monotonic()]:
            del due[label]
            services.start(label)
            say(label, "started again", logging.WARNING)
    return OK


class ServiceLog:
    """One stream with the log lines of all processes: coloured text for people, or JSON lines for programs.

    The processes write their lines in ``log_format``.
    """

    def __init__(
        self, commands: Iterable[Command], catalog: Catalog, stream: TextIO, *, text: bool, colour: bool
    ) -> None:
        self.log_format = "text" if text else "json"
        self._stream = stream
        self._colour = colour
        self._lock = threading.Lock()
        self._formatters: dict[str, logging.Formatter] = {}
        for command in commands:
            service = catalog.services[command.service]
            title = command.label.replace(service.name, service.title)
            as_text = TextFormatter(replace(service, title=title))
            self._formatters[command.label] = as_text if text else JsonFormatter(service.source)

    def line(self, label: str, line: str) -> None:
        """Write a line of a process. Among JSON lines, one that is not JSON, such as a traceback, becomes a record."""
        if self.log_format == "json" and not line.startswith("{"):
            self.say(label, line, logging.WARNING)
        else:
            self._write(line)

    def say(self, label: str, text: str, level: int = logging.INFO) -> None:
        """Write ``text`` as a line of that process."""
        self._write(self._formatters[label].format(logging.LogRecord("", level, "", 0, text, None, None)))

    def _write(self, line: str) -> None:
        with self._lock:
            self._stream.write((line if self._colour else _COLOUR.sub("", line)) + "\n")
            self._stream.flush()


if __name__ == "__main__":
    sys.exit(run_command(main))
