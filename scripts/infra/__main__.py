"""`python -m scripts.infra up|down|reset|status`"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from scripts.console import OK, Progress, new_console, parser_of, run_command
from scripts.infra.lifecycle import down, reset, status, up
from scripts.infra.stack import ROOT, chosen_port, render_env, stack_for_developer, write_atomically
from scripts.infra.terraform import outputs_of
from shopflow.environment import ENDPOINT, ENV_FILE

ABOUT = """\
A local AWS with ShopFlow's topic, queues and tables in it.

  up      start a local AWS, apply Terraform (about a minute the first time, about a second when nothing changed),
          add the products that are missing, write .env.local
  down    stop it; the next up brings orders, stock and messages back
  reset   stop it and remove everything, orders too
  status  endpoint, resources, queue depths, dead letters, stock
  env     write .env.local for the stack that 'terraform apply' has made in terraform/: for real AWS, without endpoint
          and keys, unless AWS_ENDPOINT_URL is set

variables:
  CLOUD=localstack       LocalStack in Docker instead of the embedded emulator
  AWS_ENDPOINT_URL=…     use a local AWS that already runs
  COMPUTE=lambda         run the services as Lambda functions, too; an up without it removes the functions
  SHOPFLOW_PORT=4570     where the local AWS listens (default: where it was last, at first 4566)
  TF_PLUGIN_DIR=…        a folder with the AWS provider, for a machine that cannot reach Terraform's registry

exit codes: 0 all is well, 1 it is not up or something is in the way (the message says what), 2 a wrong setting,
3 status found dead letters
"""


def write_settings(module: Path, file: Path) -> int:
    """Write the settings of the services from the outputs of the state that ``module`` was initialised with."""
    endpoint = os.environ.get(ENDPOINT) or None
    outputs = outputs_of(module)
    write_atomically(file, render_env(outputs, endpoint))
    print(f"✔ {file}: the stack {outputs['name_prefix']} in {outputs['region']} ({endpoint or 'AWS'})")
    return OK


def main() -> int:
    parser = parser_of("scripts.infra", ABOUT)
    parser.add_argument("command", choices=("up", "down", "reset", "status", "env"))
    command = parser.parse_args().command
    if command == "env":
        return write_settings(ROOT / "terraform", ROOT / ENV_FILE)
    exported = {name: value for name, value in os.environ.items() if value}
    stack = stack_for_developer(chosen_port(exported))
    os.environ.clear()  # no profile and no real credentials reach boto3
    os.environ.update(stack.environment(exported))
    os.environ.pop(ENDPOINT, None)  # each client is told its endpoint
    progress = Progress()
    match command:
        case "up":
            config = up(stack, exported, progress)
            progress.say(f"✔ Up: {config.endpoint_url}, settings in {stack.env_file}")
        case "down":
            down(stack, progress)
        case "reset":
            reset(stack, progress)
        case _:
            return status(stack, new_console())
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
