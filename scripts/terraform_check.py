"""Check Terraform without any AWS: format, validate, the tests of terraform/tests, and a security scan.

checkov scans what `terraform apply -var-file=aws.tfvars` would create. To skip a check, write the reason beside the
resource: ``#checkov:skip=ID:reason``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from scripts.console import OK, CommandError, Progress, last_line, run_command
from scripts.infra.stack import ROOT
from scripts.infra.terraform import provider_arguments, require_terraform

MODULE = ROOT / "terraform"
DATA = ROOT / ".local" / "check" / "terraform-data"
AS_ON_AWS = ("-test-directory=tests/aws", "-var-file=aws.tfvars")
OFFLINE = ("--skip-download", "--quiet", "--compact")


@dataclass(frozen=True, slots=True)
class Check:
    """A command that must succeed in the folder of the root module. ``shows_last_line``: print it on success."""

    title: str
    command: tuple[str, ...]
    advice: str = ""
    shows_last_line: bool = False


def checks(terraform: str, scanner: str) -> list[Check]:
    init = ("-backend=false", "-input=false", "-lockfile=readonly", *provider_arguments(os.environ))
    return [
        Check(
            "terraform fmt", (terraform, "fmt", "-check", "-diff", "-recursive"), "'terraform fmt -recursive' fixes it"
        ),
        Check("terraform init", (terraform, "init", "-no-color", *init)),
        Check("terraform validate", (terraform, "validate", "-no-color")),
        Check("terraform test", (terraform, "test", "-no-color"), shows_last_line=True),
        Check("terraform test, with aws.tfvars", (terraform, "test", "-no-color", *AS_ON_AWS), shows_last_line=True),
        scan(scanner, MODULE),
    ]


def scan(scanner: str, module: Path) -> Check:
    """The security scan of the root module in ``module``, with the settings of aws.tfvars."""
    arguments = ("-d", str(module), "--framework", "terraform", "--var-file", str(module / "aws.tfvars"), *OFFLINE)
    return Check(
        "checkov", (scanner, *arguments), "fix it, or skip it beside the resource with a reason", shows_last_line=True
    )


def require_scanner() -> str:
    """The path of checkov. Raises `CommandError` if it is not installed."""
    beside = Path(sys.prefix) / "scan" / "bin" / "checkov"
    found = str(beside) if beside.exists() else shutil.which("checkov")
    if found is None:
        raise CommandError("checkov is not installed: 'make terraform-check' installs it, from requirements/scan.txt")
    return found


def passes(check: Check, folder: Path = MODULE) -> str:
    """Run ``check`` and return the last line of its output. If it fails, print all of it and raise `CommandError`."""
    environment = os.environ | {"TF_DATA_DIR": str(DATA), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    answer = subprocess.run(check.command, cwd=folder, env=environment, capture_output=True, text=True)
    if answer.returncode != 0:
        print(answer.stdout + answer.stderr)
        raise CommandError(f"'{check.title}' failed, see above{check.advice and ': ' + check.advice}")
    return last_line(answer.stdout)


def main() -> int:
    progress = Progress()
    for check in checks(require_terraform(), require_scanner()):
        with progress.step(check.title):
            said = passes(check)
        if check.shows_last_line:
            progress.say(said)
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
