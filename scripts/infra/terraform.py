"""Applies the module in terraform/ to a local AWS, with tflocal.

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
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from scripts.console import CommandError, Progress, last_line
from scripts.infra.stack import ROOT, Stack, passed_on
from scripts.package import Package
from shopflow.environment import NO_AWS_FILES

PROVIDER = "registry.terraform.io/hashicorp/aws"
MAIL_FROM = "orders@shopflow.example"
"""A domain that nobody can own (RFC 2606): no local mail looks like a real one."""
CHANGE = re.compile(r"(module\.)?(?P<resource>\S+): (?P<what>Still \w+|(Creat|Modificat|Destruct)\w+ complete)")
"""Terraform's lines about a resource that it changes."""
EXISTS = re.compile(
    r"Error: creating (?P<kind>[^(\n]+) \((?P<name>\S+)\): [^\n]*(?:AlreadyExists|ResourceInUse)[^\n]*"
    r"\s+with (?P<address>\S+),"
)
"""Terraform's error when a resource exists but is not in its state."""
PROVIDERS_FILE = "local_cloud_override.tf"
POLL_SECONDS = 0.05
Show = Callable[[str], None]
Ask = Callable[[], bool]
SESSION = """
exec 3<&0
"$@" </dev/null 3<&- 9>&- & terraform=$!
{ cat; kill -INT $terraform; } <&3 >/dev/null 2>&1 9>&- &
exec 3<&-
wait $terraform; code=$?
trap '' TERM; kill -TERM 0; exit $code
"""
"""Runs a command in a process group of its own. When stdin closes, because the process that holds it closes it or has
ended, Terraform is told to stop: it finishes what it has started and saves its state. At the end the whole group is
stopped, because a provider can outlive a Terraform that was killed. The shell alone keeps the stack's lock (`LOCK_FD`):
a provider that outlived the shell, too, would keep it for ever."""
PASSED_ON = ("TF_CLI_CONFIG_FILE", "TF_LOG", "TF_PLUGIN_CACHE_", "TF_REGISTRY_", "TF_TOKEN_", "TERRAFORM_CONFIG")
"""The beginnings of the variables that say where Terraform gets its providers, and what it logs."""


@dataclass(frozen=True, slots=True)
class Module:
    """What is applied: the files, and the values of their variables.

    With a ``package`` the services run from it as Lambda functions. Without one they are processes. Without
    ``table_policies`` the audit log has no resource policy, for a local AWS that has none.
    """

    stack: Stack
    endpoint: str
    catalog_overlay: Path | None = None
    package: Package | None = None
    table_policies: bool = True

    @property
    def variables(self) -> dict[str, str]:
        variables = {"name_prefix": self.stack.name_prefix, "region": self.stack.region}
        variables |= {"public": "true", "payment_gateway": "simulated", "mail_from": MAIL_FROM}
        if not self.table_policies:
            variables["table_policies"] = "false"
        if self.catalog_overlay:
            variables["catalog_overlay"] = str(self.catalog_overlay)
        if self.package:
            variables |= {
                "compute": "lambda",
                "lambda_package": str(self.package.file),
                "lambda_runtime": self.package.runtime,
                "lambda_architecture": self.package.architecture,
            }
        return variables

    @property
    def folder(self) -> Path:
        """Where the copy of the root module is."""
        return self.stack.folder / "module" / "terraform"

    @property
    def log(self) -> Path:
        """The output of the last run."""
        return self.stack.folder / "terraform.log"

    def fingerprint(self) -> str:
        """A hash that changes with what an apply would make, and with the endpoint."""
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
        """The environment of a run. The shell's credentials, workspace, arguments and variables are left out."""
        return terraform_environment(self.stack.folder / "terraform-data") | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": self.stack.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "USE_EXEC": "1",  # tflocal becomes Terraform, and leaves its file behind
            "LS_PROVIDERS_FILE": PROVIDERS_FILE,
            "DISABLE_DEPRECATION_NOTICE": "1",
        }


def terraform_environment(data: Path) -> dict[str, str]:
    """The environment of a Terraform that has its providers in ``data`` and no profile of AWS."""
    own = {"TF_DATA_DIR": str(data), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    return passed_on(os.environ, *PASSED_ON) | NO_AWS_FILES | own


def _sources() -> list[Path]:
    """The files of the root module without its tests, and the catalogue, which it reads."""
    terraform = ROOT / "terraform"
    files = {*terraform.glob("*.tf"), *terraform.glob("modules/**/*.tf"), terraform / ".terraform.lock.hcl"}
    files -= set(terraform.glob("*_override.tf"))  # the developer's own, such as another backend
    return [*sorted(files), ROOT / "schemas" / "catalog.json"]


def apply(module: Module, progress: Progress, cloud_has_ended: Ask) -> dict[str, Any]:
    """Make the resources as the module says. Returns Terraform's outputs. Raises `CommandError` when it fails.

    A resource can exist that is not in Terraform's state: the answer of the call that made it was lost, or Terraform
    was killed before it saved its state. Such a resource is imported into the state.
    """
    with progress.step("Preparing Terraform"):
        init(module)
    title, imported = "Applying Terraform (about a minute the first time)", ""
    while True:
        try:
            with progress.step(title) as show:
                run(module, module.changing("apply", "-auto-approve"), show, cloud_has_ended)
            break
        except CommandError:
            if not (found := existing(module)):
                raise
            imported += "".join(f'import {{\n  to = {to}\n  id = "{name}"\n}}\n' for to, name in found.items())
            (module.folder / "imports.tf").write_text(imported)
            title = f"Taking over {len(found)} resource(s) that exist and are not in Terraform's state"
    return outputs_of(module.folder, module.environment())


def outputs_of(folder: Path, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Terraform's outputs. ``env``: its whole environment, if not this process's.

    Raises `CommandError` when the root module in ``folder`` is not initialised or not applied.
    """
    command = [require_terraform(), "output", "-json", "-no-color"]
    answer = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if answer.returncode != 0:
        raise CommandError(f"Terraform has no outputs: {reason_of(answer.stderr)}")
    outputs = {name: output["value"] for name, output in json.loads(answer.stdout).items()}
    if "topic_arn" not in outputs:
        raise CommandError("Terraform has no outputs. Run 'terraform -chdir=terraform apply' first.")
    return outputs


def existing(module: Module) -> dict[str, str]:
    """What the last run could not make because it exists: the id to import it with, by address."""
    ids = {}
    for found in EXISTS.finditer(module.log.read_text()):
        prefix = "arn:aws:iam::000000000000:policy/" if found["kind"] == "IAM Policy" else ""
        ids[found["address"]] = prefix + found["name"]
    return ids


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


def run(module: Module, command: list[str], show: Show = lambda _: None, cloud_has_ended: Ask = lambda: False) -> str:
    """Run ``command`` in the module's folder and return its output. ``show`` gets its progress as text.

    Raises `CommandError` with the reason when it fails, at once when ``cloud_has_ended``: Terraform alone would try
    again for minutes. The output goes to a file, so that Terraform can go on when this process is killed. Its shell
    inherits the stack's lock, so the next command waits until Terraform has saved its state.
    """
    (module.folder / PROVIDERS_FILE).unlink(missing_ok=True)
    with (
        module.log.open("w") as output,
        module.log.open() as written,
        subprocess.Popen(
            ["/bin/sh", "-c", SESSION, "sh", *command],
            cwd=module.folder,
            env=module.environment(),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            close_fds=False,
        ) as process,
    ):
        try:
            _follow(process, written, show, cloud_has_ended)
        except KeyboardInterrupt:
            print("Stopping Terraform, which first finishes what it has started (up to 30 s) …", file=sys.stderr)
            process.communicate()  # closes its stdin
            raise
    text = module.log.read_text()
    if process.returncode != 0:
        raise CommandError(f"Terraform failed: {reason_of(text)} (its output: {module.log})")
    return text


def _follow(process: subprocess.Popen[bytes], written: TextIO, show: Show, cloud_has_ended: Ask) -> None:
    """Show what Terraform writes, until it ends."""
    planned, done, rest, ended = 0, 0, "", False
    while not ended:
        time.sleep(POLL_SECONDS)
        ended = process.poll() is not None
        if not ended and cloud_has_ended():
            os.killpg(process.pid, signal.SIGKILL)
            raise CommandError("The local AWS ended while Terraform worked. Run 'make infra-up' again.")
        *lines, rest = (rest + written.read()).split("\n")
        for line in lines:
            if line.startswith("Plan:"):
                planned = sum(map(int, re.findall(r"\d+", line)))
            elif change := CHANGE.match(line):
                done += change["what"].endswith("complete")
                show(f"{done} of {planned} done: {change['resource']} {change['what'].lower()}")


def reason_of(output: str) -> str:
    """Why Terraform failed, in one line."""
    first, *more = re.findall(r"Error: (.*)", output) or [last_line(output)]
    return f"{first} (and {len(more)} more)" if more else first
