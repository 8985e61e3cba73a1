"""All services in one terminal: `python -m scripts.run_all --help`."""

from __future__ import annotations

import logging
import re
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TextIO
from urllib.parse import quote

from scripts.console import FAILED, OK, parser_of, run_command
from scripts.control import SOCKET, Control, listening
from scripts.faults import Running
from scripts.infra.stack import answers, stack_in_use
from scripts.lab import Hear
from scripts.services import ORDER, Lines, Services, check_settings, parse_scale, service_commands, url_of
from scripts.supervisor import Supervisor
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import Catalog
from shopflow.config import Config, configured_catalog, load_config
from shopflow.environment import CONTROL_SOCKET, adopt_environment, is_loopback, on_loopback, read_environment
from shopflow.errors import ShopFlowError
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
POLL_SECONDS = 0.1
_COLOUR = re.compile(r"\x1b\[\d+m")
_NUMBER = re.compile(r"[-+]\d+$")
"""The end of a label, where a service has more than one process."""


def main() -> int:
    parser_of("scripts.run_all", ABOUT).parse_args()
    env = read_environment()
    config, catalog = load_config(env), configured_catalog(env)
    token = config.ops_token or secrets.token_urlsafe(24)
    commands = service_commands(catalog, parse_scale(env.get("SCALE", ""), catalog))
    check_settings(config, catalog)
    text = config.log_format == "text" or (config.log_format == "auto" and sys.stdout.isatty())
    log = ServiceLog(catalog, sys.stdout, text=text, colour=not env.get("NO_COLOR"))
    shared = {name: value for name, value in env.items() if name != "OPS_TOKEN"}
    shared["LOG_FORMAT"] = "text" if text else "json"
    own = {"OPS_TOKEN": token}
    if on_loopback(config.endpoint_url or ""):  # nobody shall try to break a real one
        own[CONTROL_SOCKET] = str(stack_in_use(env).folder / SOCKET)
    with_token = [replace(one, env=own) if one.service == ORDER else one for one in commands]
    output = Lines(log.line)
    try:
        services = Services(with_token, shared, output)
        supervisor = Supervisor(services, log.say)
        with controlled(supervisor, config, catalog, env, log.heard) as control:
            return run(services, supervisor, control, log, replace(config, ops_token=token))
    finally:
        output.drain()


def run(services: Services, supervisor: Supervisor, control: Control | None, log: ServiceLog, config: Config) -> int:
    """Run the services until SIGINT, SIGTERM or SIGHUP, or until one of them reports a wrong setting."""
    stop = stop_on_signals()
    services.start()
    announcer = threading.Thread(target=announce, args=(config, stop, lambda text: log.say(ORDER, text)))
    announcer.start()
    try:
        code = keep_running(supervisor, control, stop)
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
        token = quote(config.ops_token or "")
        terminal.write(f"The operator's page: {url}/ops#{token}\n")
        if on_loopback(config.endpoint_url or "") and is_loopback(config.host):
            terminal.write(f"Try to break it: {url}/try#{token}\n")
        terminal.flush()
    else:
        say(f"The operator's page: {url}/ops (only a terminal shows its token: export OPS_TOKEN to choose it)")


def keep_running(supervisor: Supervisor, control: Control | None, stop: threading.Event) -> int:
    """Look after the processes until ``stop`` is set. Then returns 0.

    Returns `MISUSED` as soon as one ends with that code.
    """
    while not stop.wait(POLL_SECONDS):
        if code := supervisor.look():
            return code
        if control:
            control.tell_state()
    return OK


@contextmanager
def controlled(
    supervisor: Supervisor, config: Config, catalog: Catalog, env: Mapping[str, str], heard: list[Hear]
) -> Iterator[Control | None]:
    """Listen on the control socket of a stack on a local AWS. Yields None where there is none: then this is off."""
    if not on_loopback(config.endpoint_url or ""):
        yield None
        return
    adopt_environment()  # boto3 looks for its credentials there
    stack = stack_in_use(env)
    control = Control(Running(config, catalog, stack, env, connect(config, PATIENT), supervisor), heard)
    with listening(stack.folder / SOCKET, control) as is_listening:
        yield control if is_listening else None
    with suppress(ShopFlowError):
        control.faults.clear()


class ServiceLog:
    """One stream with the log lines of all processes: coloured text for people, or JSON lines for programs.

    The functions in ``heard`` get each line of a process, too.
    """

    def __init__(self, catalog: Catalog, stream: TextIO, *, text: bool, colour: bool) -> None:
        self._services = catalog.services
        self._stream = stream
        self._text = text
        self._colour = colour
        self._lock = threading.Lock()
        self.heard: list[Hear] = []

    def line(self, label: str, line: str) -> None:
        """Write a line of a process. Among JSON lines, one that is not JSON, such as a traceback, becomes a record."""
        if self._text or line.startswith("{"):
            self._write(line)
        else:
            self.say(label, line, logging.WARNING)
        for hear in tuple(self.heard):
            hear(label, line)

    def say(self, label: str, text: str, level: int = logging.INFO) -> None:
        """Write ``text`` as a line of that process. A service that joined later writes as the Order Service does."""
        service = self._services.get(_NUMBER.sub("", label), self._services[ORDER])
        title = label.replace(service.name, service.title)
        formatter = TextFormatter(replace(service, title=title)) if self._text else JsonFormatter(service.source)
        self._write(formatter.format(logging.LogRecord("", level, "", 0, text, None, None)))

    def _write(self, line: str) -> None:
        with self._lock:
            self._stream.write((line if self._colour else _COLOUR.sub("", line)) + "\n")
            self._stream.flush()


if __name__ == "__main__":
    sys.exit(run_command(main))
