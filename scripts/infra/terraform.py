"""Applies the module in terraform/ to a local cloud, with tflocal.

tflocal writes a file into the folder it runs in. So it runs in a copy of the module in the stack's folder, where
Terraform's state is too: two stacks, or a stack and `terraform validate`, never disturb each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.console import CommandError, Progress, last_line
from scripts.infra.stack import ROOT, Stack
from scripts.package import Package

PROVIDER = "registry.terraform.io/hashicorp/aws"
CHANGE = re.compile(r"(module\.)?(?P<resource>\S+): (?P<what>Still \w+|(Creat|Modificat|Destruct)\w+ complete)")
"""Terraform's lines about a resource that it changes."""


@dataclass(frozen=True, slots=True)
class Module:
    """What is applied: the files, and the values of their variables.

    With a ``package`` the services run from it as Lambda functions. Without one they are processes. Without
    ``table_policies`` the audit log has no resource policy, for a cloud that knows none.
    """

    stack: Stack
    endpoint: str
    catalog_overlay: Path | None = None
    package: Package | None = None
    table_policies: bool = True

    @property
    def variables(self) -> dict[str, str]:
        variables = {"name_prefix": self.stack.name_prefix, "region": self.stack.region}
        if not self.table_policies:
            variables["table_policies"] = "false"
        if self.catalog_overlay:
            variables["catalog_overlay"] = str(self.catalog_overlay)
        if self.package:
            variables |= {
                "compute": "lambda",
                "lambda_package": str(self.package.file),
                "lambda_runtime": self.package.target.runtime,
                "lambda_architecture": self.package.target.architecture,
            }
        return variables

    @property
    def folder(self) -> Path:
        """Where the copy of the root module is."""
        return self.stack.folder / "module" / "terraform"

    def fingerprint(self) -> str:
        """Differs from the last one when an apply would apply something else, or to somewhere else."""
        digest = hashlib.sha256(json.dumps([self.variables, self.endpoint]).encode())
        for source in _sources():
            digest.update(f"\0{source.relative_to(ROOT)}\0".encode() + source.read_bytes())
        for file in (self.package and self.package.file, self.catalog_overlay):
            digest.update(file.read_bytes() if file else b"")
        return digest.hexdigest()

    def copy(self) -> None:
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        for source in _sources():
            target = self.folder.parent / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def command(self, *arguments: str) -> list[str]:
        """A tflocal command. It starts with this Python, so that it works in a moved virtual environment too."""
        return [sys.executable, str(Path(sys.executable).parent / "tflocal"), *arguments, "-input=false", "-no-color"]

    def changing(self, action: str, *options: str) -> list[str]:
        """A plan, apply or destroy, with the values of the variables."""
        return self.command(action, *options, *(f"-var={name}={value}" for name, value in self.variables.items()))

    def environment(self) -> dict[str, str]:
        """The environment of a run. No profile and no real credentials reach a local cloud."""
        return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": self.stack.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "TF_DATA_DIR": str(self.stack.folder / "terraform-data"),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "DISABLE_DEPRECATION_NOTICE": "1",
        }


def _sources() -> list[Path]:
    """The files of the root module without its tests, and the catalogue, which it reads."""
    terraform = ROOT / "terraform"
    files = [*terraform.glob("*.tf"), *terraform.glob("modules/**/*.tf"), terraform / ".terraform.lock.hcl"]
    return [*sorted(files), ROOT / "schemas" / "catalog.json"]


def apply(module: Module, progress: Progress) -> dict[str, Any]:
    """Make the resources as the module says. Returns Terraform's outputs. Raises `CommandError` when it fails."""
    with progress.step("Preparing Terraform"):
        init(module)
    with progress.step("Applying Terraform (about a minute the first time)") as show:
        run(module, module.changing("apply", "-auto-approve"), show)
    command = [require_terraform(), "output", "-json"]
    answer = subprocess.run(command, cwd=module.folder, env=module.environment(), capture_output=True, check=True)
    return {name: output["value"] for name, output in json.loads(answer.stdout).items()}


def destroy(module: Module, progress: Progress) -> None:
    """Remove all resources of the stack from the endpoint."""
    with progress.step("Removing Terraform's resources") as show:
        init(module)
        run(module, module.changing("destroy", "-auto-approve"), show)


def init(module: Module) -> None:
    """Copy the module and get its provider, from a mirror on this machine or else from the registry."""
    module.copy()
    state = f"-backend-config=path={module.stack.folder / 'terraform.tfstate'}"
    run(module, module.command("init", "-reconfigure", "-lockfile=readonly", state, *provider_arguments(os.environ)))


def require_terraform() -> str:
    """The path of Terraform, which checks its own version (terraform/versions.tf). Raises `CommandError` without it."""
    path = shutil.which("terraform")
    if path is None:
        where = "https://developer.hashicorp.com/terraform/install"
        raise CommandError(f"Terraform is not installed: install version 1.9 or later from {where}")
    return path


def provider_arguments(env: Mapping[str, str]) -> list[str]:
    """Options of `terraform init` for a machine that cannot reach the registry but has the provider in a folder.

    Looks in TF_PLUGIN_DIR, then in each folder of /opt. Terraform itself looks in its implied mirror folders.
    """
    named = [Path(env["TF_PLUGIN_DIR"])] if env.get("TF_PLUGIN_DIR") else []
    folders = [*named, *sorted(Path("/opt").glob("*/"))]
    return next(([f"-plugin-dir={folder}"] for folder in folders if (folder / PROVIDER).is_dir()), [])


def run(module: Module, command: list[str], show: Callable[[str], None] = lambda _: None) -> str:
    """Run ``command`` in the module's folder and return its output. ``show`` gets its progress as text.

    Raises `CommandError` with the reason when it fails; the output is then in the stack's folder. The command runs in a
    session of its own, because a Ctrl-C must reach Terraform only once, through tflocal. At a second one Terraform
    leaves without saving its state.
    """
    output: list[str] = []
    planned, done = 0, 0
    process = subprocess.Popen(
        command,
        cwd=module.folder,
        env=module.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            for line in process.stdout or ():
                output.append(line)
                if line.startswith("Plan:"):
                    planned = sum(map(int, re.findall(r"\d+", line)))
                elif change := CHANGE.match(line):
                    done += change["what"].endswith("complete")
                    show(f"{done} of {planned} done: {change['resource']} {change['what'].lower()}")
        except KeyboardInterrupt:
            print("Stopping Terraform, which first finishes what it has started (up to 30 s) …", file=sys.stderr)
            process.send_signal(signal.SIGINT)
            raise
    text = "".join(output)
    if process.returncode != 0:
        log = module.stack.folder / "terraform.log"
        log.write_text(text)
        reason = "; ".join(re.findall(r"Error: (.*)", text)) or last_line(text)
        raise CommandError(f"Terraform failed: {reason} (its output: {log})")
    return text
