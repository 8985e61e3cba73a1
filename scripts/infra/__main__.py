"""`python -m scripts.infra up|down|reset|status`"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping

from rich.console import Console

from scripts.console import OK, Progress, run_command
from scripts.infra.envfile import CREDENTIALS
from scripts.infra.lifecycle import down, reset, up
from scripts.infra.stack import Stack, stack_for_developer, stack_for_tests
from scripts.infra.status import status
from shopflow.errors import ConfigError

ABOUT = """\
A local AWS with ShopFlow's topic, queues and tables in it.

  up      start a local AWS, apply Terraform (about a minute the first time, about a second when nothing changed),
          seed the products that are not there, write .env.local
  down    stop it; orders, stock and messages are there again after the next up
  reset   stop it and remove everything, orders too
  status  endpoint, resources, queue depths, dead letters, stock

variables:
  CLOUD=localstack       LocalStack in Docker instead of the embedded emulator
  AWS_ENDPOINT_URL=…     use a local AWS that runs already
  COMPUTE=lambda         the services as Lambda functions, too; without it up takes them away again
  SHOPFLOW_PORT=4570     where the local AWS listens (4566 at first, then where it was last)
  TF_PLUGIN_DIR=…        folder with the AWS provider, for a machine without a way to Terraform's registry

exit codes: 0 all is well, 1 it is not up or something is in the way (status, or standard error, says what),
2 a wrong setting, 3 status found dead letters
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.infra", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("up", "down", "reset", "status"))
    parser.add_argument("--stack", choices=("dev", "test"), default="dev", help="the tests have a stack of their own")
    return parser.parse_args(arguments)


def chosen_port(settings: Mapping[str, str]) -> int | None:
    """SHOPFLOW_PORT, if it is set. Raises `ConfigError` when it is no port."""
    text = settings.get("SHOPFLOW_PORT")
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ConfigError(f"SHOPFLOW_PORT={text} must be a number from 1 to 65535.")
    return int(text)


def main() -> int:
    options = parse(sys.argv[1:])
    exported = dict(os.environ)
    for_tests = options.stack == "test"
    stack = stack_for_tests() if for_tests else stack_for_developer(chosen_port(exported))
    os.environ.clear()  # no profile and no real credentials reach boto3
    os.environ.update(stack.environment(exported) | CREDENTIALS)
    return run(options.command, stack, {} if for_tests else exported)


def run(command: str, stack: Stack, settings: Mapping[str, str]) -> int:
    """Do what ``command`` says with the stack. ``settings`` are the variables that choose its cloud."""
    progress = Progress()
    match command:
        case "up":
            config = up(stack, settings, progress)
            progress.say(f"✔ Up: {config.endpoint_url}, settings in {stack.env_file}")
        case "down":
            down(stack, progress)
        case "reset":
            reset(stack, progress)
        case _:
            return status(stack, Console())
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
