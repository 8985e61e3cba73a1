"""Terraform's own checks, without any AWS: format, validate, and the tests of terraform/tests."""

from __future__ import annotations

import os
import subprocess
import sys

from scripts.console import OK, CommandError, Progress, run_command
from scripts.infra.stack import ROOT
from scripts.infra.terraform import provider_arguments, quiet, require_terraform

DATA = ROOT / ".local" / "check" / "terraform-data"


def main() -> int:
    terraform = require_terraform()
    progress = Progress()
    env = quiet(os.environ) | {"TF_DATA_DIR": str(DATA), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    checks = {
        "fmt": ["-check", "-diff", "-recursive"],
        "init": ["-backend=false", "-input=false", "-lockfile=readonly", *provider_arguments(os.environ)],
        "validate": ["-no-color"],
        "test": ["-no-color"],
    }
    for name, arguments in checks.items():
        with progress.step(f"terraform {name}"):
            answer = subprocess.run(
                [terraform, name, *arguments], cwd=ROOT / "terraform", env=env, capture_output=True, text=True
            )
            if answer.returncode != 0:
                print(answer.stdout + answer.stderr)
                raise CommandError(f"'terraform {name}' found what is above; 'terraform fmt -recursive' mends format")
        if name == "test":
            print(answer.stdout.strip().splitlines()[-1])
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
