"""The settings of a process: the only reader of ``os.environ``.

`make infra-up` writes .env.local from Terraform's outputs. A variable that is exported wins over the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dotenv import dotenv_values

from shopflow.catalog import Catalog, load_catalog
from shopflow.errors import ConfigError

ENV_FILE = ".env.local"
SUPERVISOR_FD = "SHOPFLOW_SUPERVISOR_FD"
"""The supervisor of a service sets it: a pipe that closes when the supervisor ends (`shopflow.supervision`)."""
MIN_TOKEN_CHARACTERS = 16
T = TypeVar("T")


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
    """The simulated payment gateway: the share of charges accepted (0-1), its latency, and the key of its draws."""

    success_rate: float
    latency_ms: tuple[int, int]
    seed: str


@dataclass(frozen=True, slots=True)
class Config:
    """All settings. None means: real AWS (``endpoint_url``), as the catalogue says (``consumer_threads``), no operator
    (``ops_token``, or the name of the SSM parameter that has it), no supervisor (``supervisor_fd``). An empty
    ``region`` is that of the AWS profile.
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
    ops_token: str | None = field(default=None, repr=False)
    ops_token_parameter: str | None = None
    supervisor_fd: int | None = None
    stack: str = "shopflow"


def read_environment(root: Path | None = None) -> dict[str, str]:
    """The environment variables, over those of ``.env.local`` in ``root`` (default: the working directory).

    SHOPFLOW_ENV_FILE names another file.
    """
    path = Path(os.environ.get("SHOPFLOW_ENV_FILE") or (root or Path.cwd()) / ENV_FILE)
    from_file = {name: value for name, value in dotenv_values(path).items() if value is not None}
    return from_file | dict(os.environ)


def adopt_environment() -> dict[str, str]:
    """Make what `read_environment` reads this process's environment, and return it.

    boto3 looks there for its credentials. The operator's token and the supervisor's pipe are only returned, so that no
    child process inherits them.
    """
    env = read_environment()
    os.environ.update(env)
    for name in ("OPS_TOKEN", SUPERVISOR_FD):
        os.environ.pop(name, None)
    return env


def load_config(env: Mapping[str, str]) -> Config:
    """The configuration that ``env`` describes. Raises `ConfigError` naming the variable that is missing or wrong."""
    return Config(
        endpoint_url=env.get("AWS_ENDPOINT_URL") or None,
        region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "",
        resources=_resources(env),
        host=env.get("HOST", "127.0.0.1"),
        port=_number(env, "PORT", "3000", int, 0, 65535),
        receive_wait_seconds=_number(env, "SQS_WAIT_SECONDS", "20", int, 0, 20),
        visibility_seconds=_number(env, "SQS_VISIBILITY_SECONDS", "60", int, 1, 43_200),
        consumer_threads=_number(env, "CONSUMER_THREADS", "0", int, 0, 64) or None,
        relay_interval_seconds=_number(env, "RELAY_INTERVAL_SECONDS", "30", float, 0.1, 3600),
        relay_enabled=env.get("RELAY", "on") != "off",
        gateway=_gateway(env),
        log_format=_choice(env, "LOG_FORMAT", "auto", ("auto", "json", "text")),
        metrics=_choice(env, "METRICS", "off", ("off", "emf")) == "emf",
        tracing=_wants_spans(env),
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


def _by_service(env: Mapping[str, str], suffix: str) -> dict[str, str]:
    """SHOPFLOW_INVENTORY_QUEUE_URL=… → {"inventory": …}"""
    prefix = "SHOPFLOW_"
    return {
        name.removeprefix(prefix).removesuffix(suffix).lower(): value
        for name, value in env.items()
        if name.startswith(prefix) and name.endswith(suffix)
    }


def _gateway(env: Mapping[str, str]) -> GatewaySettings:
    least = _number(env, "PAYMENT_LATENCY_MIN_MS", "300", int, 0, 60_000)
    return GatewaySettings(
        success_rate=_number(env, "PAYMENT_SUCCESS_RATE", "0.8", float, 0, 1),
        latency_ms=(least, _number(env, "PAYMENT_LATENCY_MAX_MS", str(max(800, least)), int, least, 60_000)),
        seed=env.get("PAYMENT_SEED", "shopflow"),
    )


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
