"""Writes the services' settings for a stack that Terraform made: `make env`."""

from __future__ import annotations

import os
import sys

from scripts.console import OK, parser_of, run_command
from scripts.infra.stack import ROOT, render_env, write_atomically
from scripts.infra.terraform import outputs_of
from shopflow.environment import ENDPOINT, ENV_FILE

ABOUT = f"""\
Write {ENV_FILE} from the outputs of the state that terraform/ was initialised with.

Without {ENDPOINT} the settings are for real AWS, with no endpoint and no keys: credentials come from boto3's
usual chain. With {ENDPOINT} they are for a local AWS.

exit codes: 0 written, 1 Terraform has no outputs
"""


def main() -> int:
    parser_of("scripts.env", ABOUT).parse_args()
    endpoint = os.environ.get(ENDPOINT) or None
    outputs = outputs_of(ROOT / "terraform")
    write_atomically(ROOT / ENV_FILE, render_env(outputs, endpoint))
    print(f"✔ {ROOT / ENV_FILE}: the stack {outputs['name_prefix']} in {outputs['region']} ({endpoint or 'AWS'})")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
