"""Seven claims, shown on the running shop: `python -m scripts.demo --help`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from scripts.claims import CLAIMS
from scripts.console import FAILED, OK, CommandError, Progress, last_line, new_console, parser_of, run_command
from scripts.control import SOCKET, is_answered
from scripts.e2e import wait_for
from scripts.infra.stack import ROOT, answers, stack_in_use
from scripts.services import url_of
from shopflow import jsontext
from shopflow.config import load_config
from shopflow.control import ask, connected
from shopflow.environment import on_loopback, read_environment
from shopflow.errors import ConfigError

START_SECONDS = 60
SILENCE_SECONDS = 300
"""The longest time without a line. Terraform tells its progress far more often."""
LOG = ROOT / ".local" / "demo.log"
ABOUT = """\
Break the shop in seven ways, and see that each claim about it holds: with real processes, queues and a real Terraform.

  python -m scripts.demo                 all seven, about 6 minutes (also: make demo)
  python -m scripts.demo 3               one of them (also: make demo CLAIM=3)

Uses the running 'make run-all', or starts one for itself on the developer's stack. Afterwards the shop is as before,
with two more products that are sold out, DEMO-MUG and DEMO-LAST.

exit codes: 0 every claim holds, 1 one does not
"""


@contextmanager
def supervised(path: Path, url: str, progress: Progress) -> Iterator[None]:
    """Within the block a supervisor answers at ``path``: the one that runs, or one of our own."""
    if is_answered(path):
        progress.say("✔ Using the services of the 'make run-all' that runs")
        yield
        return
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("w") as log:
        command = [sys.executable, "-m", "scripts.run_all"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    def is_up() -> bool:
        if process.poll() is not None:
            raise CommandError(last_line(LOG.read_text(errors="replace")))
        return path.exists() and answers(f"{url}/health")

    try:
        with progress.step("Starting the services"):
            if not wait_for(is_up, bool, START_SECONDS):
                raise CommandError(f"The services did not start within {START_SECONDS} s: see {LOG}")
        yield
    finally:
        with progress.step("Stopping them"):
            process.terminate()
            process.wait()


def show_claim(path: Path, number: int, console: Console) -> bool:
    """Run the experiment of a claim and print what is told. Returns whether the claim holds."""
    claim = next(one for one in CLAIMS if one.id == number)
    console.rule(f"{claim.id}. {claim.title}", align="left", characters="─")
    console.print(f"{claim.problem} {claim.experiment}", markup=False)
    with connected(path, {"do": "watch"}) as connection, connection.makefile("rb") as lines:
        connection.settimeout(SILENCE_SECONDS)
        lines.readline()  # the state: from now on nothing is missed
        if refused := ask(path, {"do": "run", "claim": number}).get("error"):
            raise CommandError(refused)
        for line in lines:
            message: dict[str, Any] = jsontext.loads(line) if line.strip() else {"type": ""}
            match message["type"]:
                case "step":
                    console.print(message["text"], markup=False)
                case "evidence":
                    console.print(f"  {message['name']}: {message['value']}", style="cyan", markup=False)
                case "verdict":
                    style, word = ("green", "✔ holds") if message["holds"] else ("red", "✘ does not hold")
                    console.print(f"{word}: {message['text']}", style=style, markup=False)
                    return bool(message["holds"])
    raise CommandError("The supervisor ended before the experiment did.")


def main() -> int:
    parser = parser_of("scripts.demo", ABOUT)
    numbers = [claim.id for claim in CLAIMS]
    parser.add_argument("claim", nargs="?", type=int, choices=numbers, help="which one (default: all)")
    chosen = parser.parse_args().claim
    env = read_environment()
    config = load_config(env)
    if not on_loopback(config.endpoint_url or ""):
        raise ConfigError("The experiments break things, so they run on a local AWS only: see 'make infra-up'.")
    path = stack_in_use(env).folder / SOCKET
    console = new_console(soft_wrap=True)
    with supervised(path, url_of(config), Progress(console)):
        failed = [number for number in ([chosen] if chosen else numbers) if not show_claim(path, number, console)]
    if failed:
        console.print(f"These claims do not hold: {', '.join(map(str, failed))}", style="red")
    return FAILED if failed else OK


if __name__ == "__main__":
    sys.exit(run_command(main))
