"""What this machine lacks for ShopFlow, and what to do about it: `python -m scripts.doctor --help`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping

import requests

from scripts.console import FAILED, OK, CommandError, last_line, new_console, parser_of, run_command
from scripts.e2e import is_order_service
from scripts.infra.clouds import choose
from scripts.infra.stack import RESOURCES, ROOT, Stack, chosen_port, stack_for_developer
from scripts.infra.terraform import PASSED_ON, provider_arguments, require_terraform, terraform_environment
from scripts.services import check_settings, url_of
from shopflow.config import configured_catalog, load_config
from shopflow.environment import ENDPOINT, ENV_FILE, belongs_to_a_local_aws, read_env_file, read_environment
from shopflow.errors import ShopFlowError

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
GOOD, NOTE, BAD = "✔", "!", "✘"
COLOURS = {GOOD: "green", NOTE: "yellow", BAD: "red"}
Finding = tuple[str, str]
"""GOOD, NOTE or BAD, and a line that says what was found."""


def examine(stack: Stack, exported: Mapping[str, str]) -> Iterator[Finding]:
    """All findings about this machine. ``exported``: the variables of the shell that are not empty."""
    tested = sys.version_info[:2] <= NEWEST_PYTHON
    more = "" if tested else f": ShopFlow is tested up to 3.{NEWEST_PYTHON[1]}"
    yield GOOD if tested else NOTE, f"Python {sys.version.split()[0]} in {sys.prefix}{more}"
    for check in (_terraform, _local_aws, _order_service, _disk, _ignored):
        try:
            yield from check(stack, exported)
        except ShopFlowError as error:
            yield BAD, str(error)


def _terraform(stack: Stack, exported: Mapping[str, str]) -> Iterator[Finding]:
    path = require_terraform()
    environment = terraform_environment(stack.folder / "terraform-data")
    answer = subprocess.run([path, "version", "-json"], env=environment, capture_output=True, text=True)
    try:
        version = str(json.loads(answer.stdout)["terraform_version"])
    except ValueError:
        raise CommandError(f"{path} does not work: {last_line(answer.stderr)}") from None
    if tuple(map(int, version.split(".")[:2])) < OLDEST_TERRAFORM:
        raise CommandError(f"Terraform {version}: install 1.9 or later")
    yield GOOD, f"Terraform {version}"
    if mirror := provider_arguments(exported):
        yield GOOD, f"Terraform's AWS provider, from {mirror[0].partition('=')[2]}"
    elif (stack.folder / "terraform-data" / "providers").exists():
        yield GOOD, "Terraform's AWS provider is installed"
    elif name := exported.get("TF_CLI_CONFIG_FILE"):
        yield GOOD, f"Terraform's AWS provider, from where TF_CLI_CONFIG_FILE={name} says"
    else:
        yield _registry()


def _registry() -> Finding:
    try:
        requests.get(REGISTRY, timeout=REGISTRY_SECONDS).raise_for_status()
    except (requests.RequestException, OSError) as error:
        way_out = "Without it, name a folder that has the AWS provider: TF_PLUGIN_DIR"
        return NOTE, f"Terraform's registry does not answer ({type(error).__name__}). {way_out}"
    return GOOD, "Terraform's registry answers"


def _local_aws(stack: Stack, exported: Mapping[str, str]) -> Iterator[Finding]:
    cloud = choose(stack, exported)
    state = "runs" if cloud.is_running() else "can start"
    yield GOOD, f"The local AWS ({cloud.kind}) {state} at {cloud.endpoint}"


def _order_service(stack: Stack, _: Mapping[str, str]) -> Iterator[Finding]:
    is_up = (ROOT / ENV_FILE).exists()
    env = read_environment(ROOT)
    if not is_up:  # check the other settings though there are no resources yet
        env = {f"SHOPFLOW_{name.upper()}": "unknown" for name in RESOURCES} | {ENDPOINT: stack.own_endpoint} | env
    config = load_config(env)
    if is_up and not config.endpoint_url:
        yield NOTE, f"{ENV_FILE} has no {ENDPOINT}: the commands use real AWS and boto3's usual settings"
    if is_order_service(url_of(config)):
        yield GOOD, f"The Order Service runs at {url_of(config)}"
    else:
        check_settings(config, configured_catalog(env))
        yield GOOD, f"Port {config.port} is free for the Order Service"


def _disk(*_: object) -> Iterator[Finding]:
    if not os.access(ROOT, os.W_OK):
        yield BAD, f"{ROOT} cannot be written to: clone into a folder of your own"
    free = shutil.disk_usage(ROOT).free / 1e9
    enough = free >= FREE_GIGABYTES
    more = "" if enough else f"; a first start needs {FREE_GIGABYTES}"
    yield GOOD if enough else NOTE, f"{free:.1f} GB of disk are free{more}"


def _ignored(stack: Stack, exported: Mapping[str, str]) -> Iterator[Finding]:
    own = read_env_file(stack.env_file) or {ENDPOINT: "the one to come"}
    if ENDPOINT not in own:
        return
    ignored = {
        "The local AWS has settings of its own and ignores": [
            name for name in exported if name != ENDPOINT and belongs_to_a_local_aws(name, own)
        ],
        "The local AWS is reached without the proxy, which only downloads use:": [
            name for name in exported if name.lower() in ("http_proxy", "https_proxy", "all_proxy")
        ],
        "'make infra-up' ignores": [
            name for name in exported if name.startswith("TF_") and not name.startswith((*PASSED_ON, "TF_PLUGIN_DIR"))
        ],
    }
    for what, names in ignored.items():
        if names:
            yield NOTE, f"{what} {', '.join(sorted(names))}"


def main() -> int:
    parser_of("scripts.doctor", ABOUT).parse_args()
    exported = {name: value for name, value in os.environ.items() if value}
    console = new_console(soft_wrap=True)
    code = OK
    for mark, text in examine(stack_for_developer(chosen_port(exported)), exported):
        console.print(f"{mark} {text}", style=COLOURS[mark], markup=False)
        code = FAILED if mark is BAD else code
    return code


if __name__ == "__main__":
    sys.exit(run_command(main))
