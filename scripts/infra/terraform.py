"""Terraform's part: the module of terraform/ applied to a local AWS by tflocal.

tflocal writes a file into the folder it runs in, so it runs in a copy of the module in the stack's folder, where the
state is too: stacks, `terraform validate` and an interrupted run cannot get into each other's way.
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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.console import CommandError, Progress
from scripts.infra.stack import ROOT, Stack
from scripts.infra.terraform_log import ApplyLog
from scripts.package import Package

MINIMUM_VERSION = (1, 9)
"""As in terraform/versions.tf."""
PROVIDER = "registry.terraform.io/hashicorp/aws"
GET_IT = "from https://developer.hashicorp.com/terraform/install"


@dataclass(frozen=True, slots=True)
class Module:
    """The files that say what is applied, and the values of its variables."""

    stack: Stack
    endpoint: str
    catalog_overlay: Path | None = None
    package: Package | None = None
    """What the services run from as Lambda functions; None: they are processes."""

    @property
    def variables(self) -> dict[str, str]:
        overlay = {"catalog_overlay": str(self.catalog_overlay)} if self.catalog_overlay else {}
        return {"name_prefix": self.stack.name_prefix, "region": self.stack.region} | overlay | self._compute()

    @property
    def folder(self) -> Path:
        """Where the copy of the root module is."""
        return self.stack.folder / "module" / "terraform"

    def fingerprint(self) -> str:
        """Changes when an apply would have something else to apply, or somewhere else to apply it."""
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

    def _compute(self) -> dict[str, str]:
        if self.package is None:
            return {}
        return {
            "compute": "lambda",
            "lambda_package": str(self.package.file),
            "lambda_runtime": self.package.target.runtime,
            "lambda_architecture": self.package.target.architecture,
        }


def _sources() -> list[Path]:
    """What the root module is made of: all but its tests, and the catalogue that it reads."""
    terraform = ROOT / "terraform"
    files = [*terraform.glob("*.tf"), *terraform.glob("modules/**/*.tf"), terraform / ".terraform.lock.hcl"]
    return [*sorted(files), ROOT / "schemas" / "catalog.json"]


def apply(module: Module, progress: Progress) -> dict[str, Any]:
    """Make the resources be what the module says, and return Terraform's outputs."""
    with progress.step("Preparing Terraform"):
        init(module)
    with progress.step("Applying Terraform (about a minute the first time)") as show:
        _run_json(module, ["apply", "-auto-approve"], ApplyLog(show))
    answer = _run(module, [require_terraform(), "output", "-json"])
    return {name: output["value"] for name, output in json.loads(answer.stdout).items()}


def destroy(module: Module, progress: Progress) -> None:
    """Remove every resource of the stack from the endpoint."""
    with progress.step("Removing Terraform's resources"):
        init(module)
        _run_json(module, ["destroy", "-auto-approve"], ApplyLog(lambda _: None))


def init(module: Module) -> None:
    """Copy the module and get its provider: from a mirror on this machine if there is one, else from the registry."""
    module.copy()
    state = f"-backend-config=path={module.stack.folder / 'terraform.tfstate'}"
    options = ["-input=false", "-no-color", "-reconfigure", "-lockfile=readonly", state]
    _run(module, [*_tflocal(), "init", *options, *provider_arguments(os.environ)])


def has_drift(module: Module) -> bool:
    """Whether a second apply would change anything (`plan -detailed-exitcode`). Needs `init` before."""
    command = [*_tflocal(), "plan", "-detailed-exitcode", "-input=false", "-no-color", *_variables(module)]
    return _run(module, command, allowed=(0, 2)).returncode == 2


def require_terraform() -> str:
    """The path of a Terraform that is new enough. Raises `CommandError` when there is none."""
    path = shutil.which("terraform")
    minimum = ".".join(map(str, MINIMUM_VERSION))
    if path is None:
        raise CommandError(f"Terraform is not installed: get version {minimum} or later {GET_IT}")
    answer = subprocess.run([path, "version", "-json"], env=quiet(os.environ), capture_output=True, text=True)
    found = re.search(r'"terraform_version":\s*"((\d+)\.(\d+)[^"]*)"', answer.stdout)
    if not found:
        raise CommandError(f"{path} does not run as Terraform: install version {minimum} or later {GET_IT}")
    if (int(found[2]), int(found[3])) < MINIMUM_VERSION:
        raise CommandError(f"Terraform {found[1]} is too old: get version {minimum} or later {GET_IT}")
    return path


def provider_arguments(env: Mapping[str, str]) -> list[str]:
    """What `terraform init` needs to be told to find the provider on this machine, if anything."""
    mirror = provider_mirror(env)
    return [f"-plugin-dir={mirror}"] if mirror else []


def provider_mirror(env: Mapping[str, str]) -> Path | None:
    """A folder on this machine that holds the AWS provider, for a machine that cannot reach the registry.

    TF_PLUGIN_DIR, then the folders where Terraform itself looks for mirrors, then any folder in /opt.
    """
    return next((folder for folder in _mirror_candidates(env) if (folder / PROVIDER).is_dir()), None)


def _mirror_candidates(env: Mapping[str, str]) -> Iterator[Path]:
    if named := env.get("TF_PLUGIN_DIR"):
        yield Path(named)
    home = Path.home()
    yield home / ".terraform.d" / "plugins"
    yield Path(env.get("XDG_DATA_HOME") or home / ".local" / "share") / "terraform" / "plugins"
    yield home / "Library" / "Application Support" / "io.terraform" / "plugins"
    for shared in (env.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":"):
        yield Path(shared) / "terraform" / "plugins"
    yield from sorted(Path("/opt").glob("*/"))


def _tflocal() -> list[str]:
    """The command beside this Python. Called through it, since a moved virtual environment breaks its first line."""
    return [sys.executable, str(Path(sys.executable).parent / "tflocal")]


def _variables(module: Module) -> list[str]:
    return [f"-var={name}={value}" for name, value in module.variables.items()]


def _environment(module: Module, inherited: Mapping[str, str]) -> dict[str, str]:
    """No profile and no real credentials reach a run against a local AWS."""
    kept = {name: value for name, value in quiet(inherited).items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_ENDPOINT_URL": module.endpoint,
        "AWS_DEFAULT_REGION": module.stack.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "TF_DATA_DIR": str(module.stack.folder / "terraform-data"),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        "DISABLE_DEPRECATION_NOTICE": "1",
    }


def quiet(inherited: Mapping[str, str]) -> dict[str, str]:
    """``inherited`` without a TF_CLI_CONFIG_FILE that is not there: Terraform would warn of it at every call."""
    named = inherited.get("TF_CLI_CONFIG_FILE")
    missing = named is not None and not Path(named).is_file()
    return {name: value for name, value in inherited.items() if not (missing and name == "TF_CLI_CONFIG_FILE")}


def _run(module: Module, command: list[str], allowed: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    answer = subprocess.run(
        command,
        cwd=module.folder,
        env=_environment(module, os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode not in allowed:
        print(answer.stdout + answer.stderr, file=sys.stderr)
        raise CommandError("Terraform failed: its own words are above")
    return answer


def _run_json(module: Module, arguments: list[str], log: ApplyLog) -> None:
    """Run ``arguments`` with -json, handing each line to ``log``.

    In a session of its own: a Ctrl-C must reach Terraform once, through tflocal. Twice makes it leave without a state.
    """
    process = subprocess.Popen(
        [*_tflocal(), *arguments, "-json", "-input=false", *_variables(module)],
        cwd=module.folder,
        env=_environment(module, os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            for line in process.stdout or ():
                log.read(line)
        except KeyboardInterrupt:
            print("Stopping Terraform, which ends what it has begun (up to 30 s) …", file=sys.stderr)
            process.send_signal(signal.SIGINT)
            raise
    if process.returncode != 0:
        raise CommandError(f"'terraform {arguments[0]}' failed: {log.failure()}")
