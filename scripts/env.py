"""Writes the services' settings for a stack that Terraform made: `make env`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.console import OK, CommandError, parser_of, run_command
from scripts.infra.stack import ROOT, render_env, write_atomically
from scripts.infra.terraform import reason_of, require_terraform
from shopflow.environment import ENV_FILE

ABOUT = """\
Write the settings of the services from the outputs of the state that terraform/ was initialised with.

Without AWS_ENDPOINT_URL the settings are for real AWS, with no endpoint and no keys: credentials come from boto3's
usual chain. With AWS_ENDPOINT_URL they are for a local AWS.

exit codes: 0 written, 1 Terraform has no outputs, 2 a wrong argument
"""


def outputs_of(module: Path, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Terraform's outputs. ``env``: its whole environment, if not this process's.

    Raises `CommandError` when the root module ``module`` is not initialised or not applied.
    """
    command = [require_terraform(), "output", "-json", "-no-color"]
    answer = subprocess.run(command, cwd=module, env=env, capture_output=True, text=True)
    if answer.returncode != 0:
        raise CommandError(f"Terraform has no outputs: {reason_of(answer.stderr)}")
    outputs = {name: output["value"] for name, output in json.loads(answer.stdout).items()}
    if "topic_arn" not in outputs:
        raise CommandError("Terraform has no outputs. Run 'terraform -chdir=terraform apply' first.")
    return outputs


def main() -> int:
    parser = parser_of("scripts.env", ABOUT)
    parser.add_argument("--file", type=Path, default=ROOT / ENV_FILE, help=f"what to write (default: {ENV_FILE})")
    options = parser.parse_args()
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
    outputs = outputs_of(ROOT / "terraform")
    write_atomically(options.file, render_env(outputs, endpoint))
    print(f"✔ {options.file}: the stack {outputs['name_prefix']} in {outputs['region']} ({endpoint or 'AWS'})")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
