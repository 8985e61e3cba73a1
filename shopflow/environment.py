"""Where a setting comes from: the only reader of ``os.environ``.

`make infra-up` and `make env` write .env.local from Terraform's outputs. A variable that is exported wins over the
file, with one exception: what belongs to a local AWS comes from its file alone (`environment_of`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values

from shopflow.errors import ConfigError

ENV_FILE = ".env.local"
SUPERVISOR_FD = "SHOPFLOW_SUPERVISOR_FD"
"""The supervisor of a service sets it: a pipe that closes when the supervisor ends (`shopflow.supervision`)."""
CONTROL_SOCKET = "SHOPFLOW_CONTROL_SOCKET"
"""`make run-all` sets it for the Order Service: where it takes requests (`shopflow.control`)."""
ENDPOINT = "AWS_ENDPOINT_URL"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""A local AWS wants credentials and accepts any."""
NO_AWS_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
"""They keep ~/.aws from having an effect."""
DEFAULT_REGION = "us-east-1"
LOOPBACK = "127.0.0.1"
LOCAL_NAMES = ("localhost", LOOPBACK, "::1", "localhost.localstack.cloud")
"""Spellings of this machine. The last one is LocalStack's, in the public DNS."""

_OF_A_LOCAL_AWS = (ENDPOINT, "AWS_REGION", "AWS_DEFAULT_REGION", *CREDENTIALS, "AWS_SESSION_TOKEN")
_CHOICES = (
    "SHOPFLOW_ENV_FILE",
    "SHOPFLOW_PORT",
    "SHOPFLOW_CATALOG_OVERLAY",
    "SHOPFLOW_OPERATOR_LOG",
    CONTROL_SOCKET,
    SUPERVISOR_FD,
)
"""What a person may choose for a local AWS, too. All other SHOPFLOW_… variables name resources."""


def read_environment(root: Path | None = None) -> dict[str, str]:
    """The variables of this process: those exported, and those of ``.env.local`` in ``root`` (default: the working
    directory), as `environment_of` joins them.

    SHOPFLOW_ENV_FILE names another file. Raises `ConfigError` when that is not there, or the file cannot be read.
    """
    named = os.environ.get("SHOPFLOW_ENV_FILE")
    path = Path(named or (root or Path.cwd()) / ENV_FILE)
    if named and (path.is_dir() or not path.exists()):
        raise ConfigError(f"SHOPFLOW_ENV_FILE={named} is not a file. Name one, or unset it.")
    return environment_of(os.environ, read_env_file(path))


def read_env_file(path: Path) -> dict[str, str]:
    """The variables in the file; none when there is no file. Raises `ConfigError` when it cannot be read."""
    try:
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}). 'make infra-up' writes a new {ENV_FILE}.") from None


def environment_of(exported: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process: the ``exported`` variables over ``own``, which are those of its env file.

    An empty variable is an unset one. On a local AWS, that is when ``own`` has an endpoint or the exported one is on
    loopback, everything about it comes from where its endpoint comes from: region, credentials and resources. No
    profile, CA bundle or proxy of the shell reaches it.
    """
    exported = {name: value for name, value in exported.items() if value}
    own = {name: value for name, value in own.items() if value}
    endpoint = own.get(ENDPOINT) or exported.get(ENDPOINT, "")
    if ENDPOINT not in own and not on_loopback(endpoint):
        return own | exported
    source = own if ENDPOINT in own else exported
    env = own | {name: value for name, value in exported.items() if not belongs_to_a_local_aws(name, own)}
    env |= CREDENTIALS | {name: source[name] for name in _OF_A_LOCAL_AWS if name in source}
    return env | NO_AWS_FILES | _without_proxy(exported, endpoint)


def belongs_to_a_local_aws(name: str, own: Mapping[str, str]) -> bool:
    """Whether a process on a local AWS with the env file ``own`` ignores the exported variable ``name``."""
    if name.startswith("AWS_"):
        return not name.startswith("AWS_LAMBDA_")  # Lambda's runtime sets those
    return ENDPOINT in own and name.startswith("SHOPFLOW_") and (name in own or name not in _CHOICES)


def on_loopback(endpoint: str) -> bool:
    """Whether the URL names this machine."""
    return is_loopback(split_url(endpoint).hostname or "")


def is_loopback(host: str) -> bool:
    """Whether the name or address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in LOCAL_NAMES


def canonical(endpoint: str) -> str:
    """One spelling of an endpoint: ``http://localhost:4566/`` and ``http://[::1]:4566`` are the same one."""
    url = split_url(endpoint)
    return f"{url.scheme}://{LOOPBACK if on_loopback(endpoint) else url.hostname}:{url.port}"


def split_url(endpoint: str) -> SplitResult:
    """The parts of a URL, or of the empty one when it is malformed."""
    try:
        url = urlsplit(endpoint)
        return url if url.port != 0 else urlsplit("")
    except ValueError:
        return urlsplit("")


def _without_proxy(exported: Mapping[str, str], endpoint: str) -> dict[str, str]:
    """The variables that keep a proxy away from this machine and from ``endpoint``."""
    hosts = (exported.get("no_proxy") or exported.get("NO_PROXY") or "").split(",")
    local = (*LOCAL_NAMES, "[::1]", split_url(endpoint).hostname or "")
    text = ",".join(filter(None, dict.fromkeys([*hosts, *local])))
    return {"no_proxy": text, "NO_PROXY": text}


def adopt_environment() -> dict[str, str]:
    """Make what `read_environment` reads this process's environment, and return it.

    boto3 looks there for its credentials. The operator's token and the supervisor's pipe are only returned, so that no
    child process inherits them.
    """
    env = read_environment()
    os.environ.clear()
    os.environ.update({name: value for name, value in env.items() if name not in ("OPS_TOKEN", SUPERVISOR_FD)})
    return env
