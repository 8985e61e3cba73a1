"""Check Terraform without any AWS: format, validate, the tests of terraform/tests, and a security scan.

checkov scans what `terraform apply -var-file=aws.tfvars` would create. To skip a check, write the reason beside the
resource: ``#checkov:skip=ID:reason``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.console import OK, CommandError, Progress, last_line, run_command
from scripts.infra.stack import ROOT
from scripts.infra.terraform import provider_arguments, require_terraform, terraform_environment

MODULE = ROOT / "terraform"


def scan(module: Path = MODULE) -> list[str]:
    """The command that scans a root module, with the settings of aws.tfvars. Raises `CommandError` without checkov."""
    scanner = shutil.which("checkov", path=f"{sys.prefix}/scan/bin{os.pathsep}{os.environ.get('PATH', '')}")
    if scanner is None:
        raise CommandError("checkov is not installed: 'make terraform-check' installs it, from requirements/scan.txt")
    settings = ["--framework", "terraform", "--var-file", str(module / "aws.tfvars")]
    return [scanner, "-d", str(module), *settings, "--skip-download", "--quiet", "--compact"]


def passes(title: str, command: list[str]) -> str:
    """Run ``command`` and return the last line of its output. If it fails, print all of it and raise `CommandError`."""
    env = terraform_environment(ROOT / ".local" / "check" / "terraform-data")
    answer = subprocess.run(command, cwd=MODULE, env=env, capture_output=True, text=True)
    if answer.returncode != 0:
        print(answer.stdout + answer.stderr)
        raise CommandError(f"'{title}' failed, see above")
    return last_line(answer.stdout)


def main() -> int:
    progress, terraform = Progress(), require_terraform()
    test = [terraform, "test", "-no-color"]
    init = ["-backend=false", "-input=false", "-lockfile=readonly", *provider_arguments(os.environ)]
    checks = {
        "terraform fmt": [terraform, "fmt", "-check", "-diff", "-recursive"],
        "terraform init": [terraform, "init", "-no-color", *init],
        "terraform validate": [terraform, "validate", "-no-color"],
        "terraform test": test,
        "terraform test, with aws.tfvars": [*test, "-test-directory=tests/aws", "-var-file=aws.tfvars"],
        "checkov": scan(),
    }
    for title, command in checks.items():
        with progress.step(title):
            said = passes(title, command)
        if "test" in title or title == "checkov":
            progress.say(said)
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
