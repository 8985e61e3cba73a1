"""The settings of a process: the only reader of ``os.environ``.

`make infra-up` writes .env.local from Terraform's outputs. A variable that is exported wins over the file, with one
exception: what belongs to a local AWS comes from its file alone (`environment_of`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values

from shopflow.catalog import Catalog, load_catalog
from shopflow.errors import ConfigError

ENV_FILE = ".env.local"
SUPERVISOR_FD = "SHOPFLOW_SUPERVISOR_FD"
"""The supervisor of a service sets it: a pipe that closes when the supervisor ends (`shopflow.supervision`)."""
MIN_TOKEN_CHARACTERS = 16
SIMULATED = "simulated"
"""The one payment gateway that there is."""
ENDPOINT = "AWS_ENDPOINT_URL"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""A local AWS wants credentials and accepts any."""
NO_AWS_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
"""So that nothing in ~/.aws has an effect."""
DEFAULT_REGION = "us-east-1"
LOOPBACK = "127.0.0.1"
LOCAL_NAMES = ("localhost", LOOPBACK, "::1", "localhost.localstack.cloud")
"""Spellings of this machine. The last one is LocalStack's, in the public DNS."""
T = TypeVar("T")

_OF_A_LOCAL_AWS = (ENDPOINT, "AWS_REGION", "AWS_DEFAULT_REGION", *CREDENTIALS, "AWS_SESSION_TOKEN")
_CHOICES = ("SHOPFLOW_ENV_FILE", "SHOPFLOW_PORT", "SHOPFLOW_CATALOG_OVERLAY", "SHOPFLOW_OPERATOR_LOG", SUPERVISOR_FD)
"""What a person may choose for a local AWS, too. All other SHOPFLOW_… variables name resources."""


@dataclass(frozen=True, slots=True)
class Resources:
    """The names of the resources that Terraform made (terraform/outputs.tf). Queue and DLQ URLs are by service."""

    topic_arn: str
    queue_urls: Mapping[str, str]
    dlq_urls: Mapping[str, str]
    orders_table: str
    inventory_table: str
    events_table: str
    open_orders_index: str


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The simulated payment gateway: the share of charges accepted (0-1), its latency, and the key of its draws.

    ``asked_for``: a setting names it, or the cloud is a local one. Nobody shall give goods away by a forgotten setting.
    """

    success_rate: float
    latency_ms: tuple[int, int]
    seed: str
    asked_for: bool = True


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Who may order: customers with a JSON Web Token of ``issuer``, an address, for one of ``audiences``."""

    issuer: str
    audiences: frozenset[str]


@dataclass(frozen=True, slots=True)
class Config:
    """All settings.

    None means: real AWS (``endpoint_url``), as the catalogue says (``consumer_threads``), mails into the log
    (``mail_from``), anybody may order (``tokens``), no operator (neither ``ops_token`` nor the name of an SSM parameter
    that has it), no supervisor (``supervisor_fd``).
    """

    endpoint_url: str | None
    region: str
    resources: Resources
    host: str
    port: int
    receive_wait_seconds: int
    visibility_seconds: int
    consumer_threads: int | None
    relay_interval_seconds: float
    relay_enabled: bool
    gateway: GatewaySettings
    log_format: str
    metrics: bool = False
    tracing: bool = False
    mail_from: str | None = None
    tokens: TokenSettings | None = None
    ops_token: str | None = field(default=None, repr=False)
    ops_token_parameter: str | None = None
    supervisor_fd: int | None = None
    stack: str = "shopflow"


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
    host = _split(endpoint).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in LOCAL_NAMES


def canonical(endpoint: str) -> str:
    """One spelling of an endpoint: ``http://localhost:4566/`` and ``http://[::1]:4566`` are the same one."""
    url = _split(endpoint)
    return f"{url.scheme}://{LOOPBACK if on_loopback(endpoint) else url.hostname}:{url.port}"


def _split(endpoint: str) -> SplitResult:
    """The parts of a URL, or of the empty one when it is malformed."""
    try:
        url = urlsplit(endpoint)
        return url if url.port != 0 else urlsplit("")
    except ValueError:
        return urlsplit("")


def _without_proxy(exported: Mapping[str, str], endpoint: str) -> dict[str, str]:
    """The variables that keep a proxy away from this machine and from ``endpoint``."""
    hosts = (exported.get("no_proxy") or exported.get("NO_PROXY") or "").split(",")
    local = (*LOCAL_NAMES, "[::1]", _split(endpoint).hostname or "")
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


def load_config(env: Mapping[str, str]) -> Config:
    """The configuration that ``env`` describes. Raises `ConfigError` naming the variable that is missing or wrong."""
    return Config(
        endpoint_url=_endpoint(env),
        region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or _region_of_topic(env),
        resources=_resources(env),
        host=env.get("HOST") or LOOPBACK,
        port=_number(env, "PORT", "3000", int, 0, 65535),
        receive_wait_seconds=_number(env, "SQS_WAIT_SECONDS", "20", int, 0, 20),
        visibility_seconds=_number(env, "SQS_VISIBILITY_SECONDS", "60", int, 1, 43_200),
        consumer_threads=_number(env, "CONSUMER_THREADS", "0", int, 0, 64) or None,
        relay_interval_seconds=_number(env, "RELAY_INTERVAL_SECONDS", "30", float, 0.1, 3600),
        relay_enabled=_choice(env, "RELAY", "on", ("on", "off")) == "on",
        gateway=_gateway(env),
        log_format=_choice(env, "LOG_FORMAT", "auto", ("auto", "json", "text")),
        metrics=_choice(env, "METRICS", "off", ("off", "emf")) == "emf",
        tracing=_wants_spans(env),
        mail_from=_address(env, "MAIL_FROM"),
        tokens=_tokens(env),
        ops_token=_token(env, "OPS_TOKEN"),
        ops_token_parameter=env.get("OPS_TOKEN_PARAMETER") or None,
        supervisor_fd=_pipe(env, SUPERVISOR_FD),
        stack=env.get("SHOPFLOW_STACK") or "shopflow",
    )


def configured_catalog(env: Mapping[str, str]) -> Catalog:
    """The catalogue, with the overlay that SHOPFLOW_CATALOG_OVERLAY names, if any. Raises `ConfigError`."""
    overlay = catalog_overlay(env)
    try:
        return load_catalog(overlay)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"The catalogue, or its overlay ({overlay}), is malformed: {error}") from None


def catalog_overlay(env: Mapping[str, str]) -> Path | None:
    """The file that SHOPFLOW_CATALOG_OVERLAY names."""
    name = env.get("SHOPFLOW_CATALOG_OVERLAY")
    return Path(name).resolve() if name else None


def _wants_spans(env: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's standard variables name an endpoint for spans."""
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true" or env.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return bool(env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def _resources(env: Mapping[str, str]) -> Resources:
    return Resources(
        topic_arn=_required(env, "SHOPFLOW_TOPIC_ARN"),
        queue_urls=_by_service(env, "_QUEUE_URL"),
        dlq_urls=_by_service(env, "_DLQ_URL"),
        orders_table=_required(env, "SHOPFLOW_ORDERS_TABLE"),
        inventory_table=_required(env, "SHOPFLOW_INVENTORY_TABLE"),
        events_table=_required(env, "SHOPFLOW_EVENTS_TABLE"),
        open_orders_index=_required(env, "SHOPFLOW_OPEN_ORDERS_INDEX"),
    )


def _endpoint(env: Mapping[str, str]) -> str | None:
    text = env.get("AWS_ENDPOINT_URL")
    if text and not (_split(text).scheme in ("http", "https") and _split(text).hostname):
        raise ConfigError(f"AWS_ENDPOINT_URL={text} must be a URL such as http://127.0.0.1:4566.")
    return text.rstrip("/") if text else None


def _region_of_topic(env: Mapping[str, str]) -> str:
    """arn:aws:sns:eu-west-1:… → eu-west-1"""
    parts = env.get("SHOPFLOW_TOPIC_ARN", "").split(":")
    return parts[3] if len(parts) > 3 else DEFAULT_REGION


def _by_service(env: Mapping[str, str], suffix: str) -> dict[str, str]:
    """SHOPFLOW_INVENTORY_QUEUE_URL=… → {"inventory": …}"""
    prefix = "SHOPFLOW_"
    return {
        name.removeprefix(prefix).removesuffix(suffix).lower(): value
        for name, value in env.items()
        if name.startswith(prefix) and name.endswith(suffix)
    }


def _gateway(env: Mapping[str, str]) -> GatewaySettings:
    _choice(env, "PAYMENT_GATEWAY", SIMULATED, (SIMULATED,))
    least = _number(env, "PAYMENT_LATENCY_MIN_MS", "300", int, 0, 60_000)
    return GatewaySettings(
        success_rate=_number(env, "PAYMENT_SUCCESS_RATE", "0.8", float, 0, 1),
        latency_ms=(least, _number(env, "PAYMENT_LATENCY_MAX_MS", str(max(800, least)), int, least, 60_000)),
        seed=env.get("PAYMENT_SEED") or "shopflow",
        asked_for=bool(env.get("PAYMENT_GATEWAY") or env.get("AWS_ENDPOINT_URL")),
    )


def _address(env: Mapping[str, str], name: str) -> str | None:
    address = env.get(name) or None
    if address is not None and not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", address):
        raise ConfigError(f"{name}={address} must be one address, like orders@shop.example.")
    return address


def _tokens(env: Mapping[str, str]) -> TokenSettings | None:
    issuer, audience = env.get("JWT_ISSUER") or "", env.get("JWT_AUDIENCE") or ""
    audiences = frozenset(filter(None, map(str.strip, audience.split(","))))
    if not issuer and not audiences:
        return None
    if not re.fullmatch(r"(https://|http://127\.0\.0\.1:)[^\s?#]+", issuer) or not audiences:
        raise ConfigError(
            "JWT_ISSUER must be an https address (or on 127.0.0.1), and JWT_AUDIENCE one name or more, by commas."
        )
    return TokenSettings(issuer, audiences)


def _token(env: Mapping[str, str], name: str) -> str | None:
    return checked_token(env[name], name) if env.get(name) else None


def checked_token(token: str, source: str) -> str:
    """``token``. Raises `ConfigError` naming its ``source`` when it is too short."""
    if len(token) < MIN_TOKEN_CHARACTERS:
        raise ConfigError(f"{source} must have at least {MIN_TOKEN_CHARACTERS} characters that nobody can guess.")
    return token


def _pipe(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name)
    if not text:
        return None
    try:
        descriptor = int(text)
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return descriptor
    except (ValueError, OverflowError, OSError):
        pass
    raise ConfigError(f"{name}={text} is no pipe that this process inherited: leave it unset.")


def _required(env: Mapping[str, str], name: str) -> str:
    if not env.get(name):
        writers = "'make infra-up', or 'make env' for real AWS"
        raise ConfigError(f"{name} is not set. Run {writers}, which writes it to {ENV_FILE}.")
    return env[name]


def _number(env: Mapping[str, str], name: str, default: str, kind: Callable[[str], T], least: float, most: float) -> T:
    text = env.get(name) or default
    try:
        value = kind(text)
        within = least <= float(text) <= most
    except ValueError:
        within = False
    if not within:
        raise ConfigError(f"{name}={text} must be a number from {least:g} to {most:g}.")
    return value


def _choice(env: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    value = env.get(name) or default
    if value not in choices:
        raise ConfigError(f"{name}={value} must be one of {', '.join(choices)}.")
    return value
