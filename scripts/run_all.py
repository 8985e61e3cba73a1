"""All services in one terminal: `python -m scripts.run_all --help`."""

from __future__ import annotations

import argparse
import logging
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TextIO
from urllib.parse import quote

from scripts.console import FAILED, OK, CommandError, run_command
from scripts.infra.health import answers, port_is_taken
from scripts.service_log import ServiceLog, wants_text
from scripts.services import ORDER, Command, Lines, Services, parse_scale, service_commands
from scripts.watch import watch
from shopflow.config import Config, configured_catalog, load_config, read_environment
from shopflow.listeners import taken
from shopflow.supervision import STOP_SECONDS

ABOUT = """\
Run the Order Service and all workers in one terminal, each line in its service's colour (JSON lines when the output is
no terminal). A service that crashes is started again. Ctrl-C stops all: each finishes what is in flight.

variables:
  SCALE=inventory=3,payment=2   start more than one of a worker; they share its queue
  PORT=3001                     where the Order Service listens (default 3000)
  OPS_TOKEN=…                   who knows it is the operator (default: a new one each run, in a link that a terminal
                                shows; it is written into no file and no pipe)
  LOG_FORMAT=json|text          whatever the output is
  NO_COLOR=1                    no colours
"""
TOKEN_BYTES = 24


def main() -> int:
    argparse.ArgumentParser(
        prog="python -m scripts.run_all", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    env = read_environment()
    config, catalog = load_config(env), configured_catalog(env)
    token = config.ops_token or secrets.token_urlsafe(TOKEN_BYTES)
    commands = with_token(service_commands(catalog, parse_scale(env.get("SCALE", ""), catalog)), token)
    if port_is_taken(config.port):
        raise CommandError(f"{taken(config.port)}. Stop that, or choose another port: PORT=3001 make run-all")
    log = ServiceLog(commands, catalog, sys.stdout, text=wants_text(config, sys.stdout), colour="NO_COLOR" not in env)
    everybodys = {name: value for name, value in env.items() if name != "OPS_TOKEN"} | {"LOG_FORMAT": "json"}
    return run(Services(commands, everybodys, Lines(log.line)), log, replace(config, ops_token=token), terminal())


def with_token(commands: Sequence[Command], token: str) -> list[Command]:
    """``commands``, of which only the Order Service is told the operator's token."""
    return [replace(one, env={"OPS_TOKEN": token}) if one.service == ORDER else one for one in commands]


def terminal() -> TextIO | None:
    """Where a person reads along and nothing is kept; None when all goes into files or to other programs."""
    return next((stream for stream in (sys.stdout, sys.stderr) if stream.isatty()), None)


def run(services: Services, log: ServiceLog, config: Config, terminal: TextIO | None) -> int:
    """Run the services until SIGINT, SIGTERM or SIGHUP, or until one of them finds its settings wrong.

    The operator's token is shown on ``terminal``, and nowhere else.
    """
    stop = stop_on_signals()
    first = services.labels[0]
    services.start()
    announcer = threading.Thread(target=announce, args=(config, stop, lambda text: log.say(first, text), terminal))
    announcer.start()
    try:
        code = watch(services, stop, log.say)
    finally:
        stop.set()
        killed = services.stop()
        announcer.join()
    for label in killed:
        log.say(label, f"did not stop within {STOP_SECONDS} s: killed", logging.ERROR)
    return code or (FAILED if killed else OK)


def stop_on_signals() -> threading.Event:
    """An event that is set when someone asks this process to end. Whoever asks twice does not want to wait."""
    stop = threading.Event()

    def on_signal(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, on_signal)
    return stop


def announce(config: Config, stop: threading.Event, say: Callable[[str], None], terminal: TextIO | None) -> None:
    """Say where the storefront and the operator's page are, as soon as the Order Service answers."""
    url = f"http://{config.host}:{config.port}"
    while not answers(f"{url}/health"):
        if stop.wait(0.1):
            return
    say(f"ShopFlow is up: {url} (Ctrl-C stops all)")
    if terminal:
        terminal.write(f"The operator's page: {url}/ops#{quote(config.ops_token or '')}\n")
        terminal.flush()
    else:
        say(f"The operator's page: {url}/ops (its token is shown on a terminal only: export OPS_TOKEN to know it)")


if __name__ == "__main__":
    sys.exit(run_command(main))
