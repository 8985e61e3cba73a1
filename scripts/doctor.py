"""What this machine lacks for ShopFlow, and what to do about it: `python -m scripts.doctor --help`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import requests

from scripts.console import FAILED, OK, last_line, new_console, parser_of, run_command
from scripts.e2e import is_order_service
from scripts.infra.__main__ import chosen_port
from scripts.infra.clouds import LocalStack
from scripts.infra.emulator import Embedded
from scripts.infra.stack import ROOT, Stack, passed_on, port_is_taken, stack_for_developer
from scripts.infra.terraform import PASSED_ON, provider_arguments
from scripts.services import url_of
from shopflow.config import load_config
from shopflow.environment import ENDPOINT, ENV_FILE, belongs_to_a_local_aws, read_env_file, read_environment
from shopflow.errors import ConfigError
from shopflow.listeners import taken

ABOUT = """\
Check this machine, and say what to do about each problem: Python, Terraform and its AWS provider, ports, disk, Docker
if CLOUD=localstack, the settings, and which exported variables a local AWS ignores.

exit codes: 0 ShopFlow can run, 1 something is in the way
"""
NEWEST_PYTHON = (3, 14)
"""Tested with ShopFlow. `make` itself refuses one before 3.11."""
OLDEST_TERRAFORM = (1, 9)
FREE_GIGABYTES = 2.0
"""The virtual environment takes 0.2, the AWS provider 0.7, and as much again while it is unpacked."""
REGISTRY = "https://registry.terraform.io/.well-known/terraform.json"
REGISTRY_SECONDS = 5


_NAMES = ("TOPIC_ARN", "ORDERS_TABLE", "INVENTORY_TABLE", "EVENTS_TABLE", "OPEN_ORDERS_INDEX")
NOT_UP_YET = {f"SHOPFLOW_{name}": "unknown" for name in _NAMES}
"""Stands in for the resources, so that the other settings can be checked before there are any."""


class Level(StrEnum):
    GOOD = "green"
    NOTE = "yellow"
    BAD = "red"


MARKS = {Level.GOOD: "✔", Level.NOTE: "!", Level.BAD: "✘"}


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    text: str


def examine(stack: Stack, exported: Mapping[str, str]) -> Iterator[Finding]:
    """All findings about this machine. ``exported``: the variables of the shell that are not empty."""
    yield _python()
    yield from _terraform(stack, exported)
    yield from _local_aws(stack, exported)
    yield from _settings()
    yield from _disk()
    yield from _ignored(exported, read_env_file(stack.env_file))


def _python() -> Finding:
    name = f"Python {sys.version.split()[0]} in {sys.prefix}"
    if sys.version_info[:2] > NEWEST_PYTHON:
        return Finding(Level.NOTE, f"{name}: ShopFlow is tested up to 3.{NEWEST_PYTHON[1]}")
    return Finding(Level.GOOD, name)


def _terraform(stack: Stack, exported: Mapping[str, str]) -> Iterator[Finding]:
    path = shutil.which("terraform")
    if path is None:
        where = "https://developer.hashicorp.com/terraform/install"
        yield Finding(Level.BAD, f"Terraform is not installed: install version 1.9 or later from {where}")
        return
    environment = passed_on(exported, *PASSED_ON) | {"CHECKPOINT_DISABLE": "1"}
    answer = subprocess.run([path, "version", "-json"], env=environment, capture_output=True, text=True)
    try:
        version = str(json.loads(answer.stdout)["terraform_version"])
    except (ValueError, KeyError):
        yield Finding(Level.BAD, f"{path} does not work: {last_line(answer.stderr)}")
        return
    old = tuple(map(int, version.split("-")[0].split(".")[:2])) < OLDEST_TERRAFORM
    yield Finding(Level.BAD if old else Level.GOOD, f"Terraform {version}" + (": install 1.9 or later" if old else ""))
    yield _provider(stack, exported)


def _provider(stack: Stack, exported: Mapping[str, str]) -> Finding:
    if mirror := provider_arguments(exported):
        return Finding(Level.GOOD, f"Terraform's AWS provider, from {mirror[0].partition('=')[2]}")
    if (stack.folder / "terraform-data" / "providers").exists():
        return Finding(Level.GOOD, "Terraform's AWS provider is installed")
    if name := exported.get("TF_CLI_CONFIG_FILE"):
        return Finding(Level.GOOD, f"Terraform's AWS provider, from where TF_CLI_CONFIG_FILE={name} says")
    try:
        requests.get(REGISTRY, timeout=REGISTRY_SECONDS).raise_for_status()
    except (requests.RequestException, OSError) as error:
        way_out = "Without it, name a folder that has the AWS provider: TF_PLUGIN_DIR"
        return Finding(Level.NOTE, f"Terraform's registry does not answer ({type(error).__name__}). {way_out}")
    return Finding(Level.GOOD, "Terraform's registry answers")


def _local_aws(stack: Stack, exported: Mapping[str, str]) -> Iterator[Finding]:
    if endpoint := exported.get(ENDPOINT):
        yield Finding(Level.NOTE, f"{ENDPOINT} is exported: 'make infra-up' uses the local AWS at {endpoint}")
    if exported.get("CLOUD") == LocalStack.kind:
        yield _docker()
    elif process := Embedded(stack).process:
        yield Finding(Level.GOOD, f"The local AWS runs on port {process.port}")
    elif port_is_taken(stack.port):
        yield Finding(Level.BAD, f"{taken(stack.port)}. Choose another for the local AWS: SHOPFLOW_PORT=4570")
    else:
        yield Finding(Level.GOOD, f"Port {stack.port} is free for the local AWS")


def _docker() -> Finding:
    if shutil.which("docker") is None:
        return Finding(Level.BAD, "CLOUD=localstack needs Docker: install it, or leave CLOUD unset")
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode != 0:
            return Finding(Level.BAD, f"'{' '.join(command)}' failed: {last_line(answer.stderr)}")
    return Finding(Level.GOOD, "Docker")


def _settings() -> Iterator[Finding]:
    try:
        env = read_environment(ROOT)
        config = load_config(env if (ROOT / ENV_FILE).exists() else NOT_UP_YET | env)
        url = url_of(config)
    except ConfigError as error:
        yield Finding(Level.BAD, str(error))
        return
    if (ROOT / ENV_FILE).exists() and not config.endpoint_url:
        yield Finding(Level.NOTE, f"{ENV_FILE} has no {ENDPOINT}: the commands use real AWS and boto3's usual settings")
    if is_order_service(url):
        yield Finding(Level.GOOD, f"The Order Service runs at {url}")
    elif port_is_taken(config.port):
        yield Finding(Level.BAD, f"{taken(config.port)}. Choose another for the Order Service: PORT=3001")
    else:
        yield Finding(Level.GOOD, f"Port {config.port} is free for the Order Service")


def _disk() -> Iterator[Finding]:
    if not os.access(ROOT, os.W_OK):
        yield Finding(Level.BAD, f"{ROOT} cannot be written to: clone into a folder of your own")
    free = shutil.disk_usage(ROOT).free / 1e9
    text = f"{free:.1f} GB of disk are free"
    enough = free >= FREE_GIGABYTES
    yield Finding(Level.GOOD, text) if enough else Finding(Level.NOTE, f"{text}; a first start needs {FREE_GIGABYTES}")


def _ignored(exported: Mapping[str, str], own: Mapping[str, str]) -> Iterator[Finding]:
    on_local_aws = own or {ENDPOINT: "the one to come"}
    if ENDPOINT not in on_local_aws:
        return
    names = [name for name in sorted(exported) if name != ENDPOINT and belongs_to_a_local_aws(name, on_local_aws)]
    if names:
        yield Finding(Level.NOTE, f"The local AWS has settings of its own and ignores {', '.join(names)}")
    if proxies := [name for name in sorted(exported) if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]:
        yield Finding(Level.NOTE, f"The local AWS is reached without {', '.join(proxies)}; downloads use it")
    terraforms = [name for name in sorted(exported) if name.startswith("TF_") and not name.startswith(PASSED_ON)]
    if names := [name for name in terraforms if name != "TF_PLUGIN_DIR"]:
        yield Finding(Level.NOTE, f"'make infra-up' ignores {', '.join(names)}")


def main() -> int:
    parser_of("scripts.doctor", ABOUT).parse_args()
    exported = {name: value for name, value in os.environ.items() if value}
    console = new_console(soft_wrap=True)
    code = OK
    for finding in examine(stack_for_developer(chosen_port(exported)), exported):
        console.print(f"{MARKS[finding.level]} {finding.text}", style=finding.level, markup=False)
        code = FAILED if finding.level is Level.BAD else code
    return code


if __name__ == "__main__":
    sys.exit(run_command(main))
