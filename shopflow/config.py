"""The settings of a process, from its environment (`shopflow.environment`)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from shopflow.catalog import Catalog, load_catalog
from shopflow.environment import CONTROL_SOCKET, DEFAULT_REGION, ENDPOINT, ENV_FILE, LOOPBACK, SUPERVISOR_FD, split_url
from shopflow.errors import ConfigError

MIN_TOKEN_CHARACTERS = 16
SIMULATED = "simulated"
"""The one payment gateway that there is."""
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
    """The simulated payment gateway: the share of charges accepted (0-1), its latency, and the seed of its decisions.

    ``asked_for``: a setting names it, or it is on a local AWS. A forgotten setting must not give goods away.
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
    that has it), no supervisor (``supervisor_fd``, ``control_socket``).
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
    control_socket: Path | None = None
    stack: str = "shopflow"


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
        mail_from=_mail_from(env),
        tokens=_tokens(env),
        ops_token=checked_token(env["OPS_TOKEN"], "OPS_TOKEN") if env.get("OPS_TOKEN") else None,
        ops_token_parameter=env.get("OPS_TOKEN_PARAMETER") or None,
        supervisor_fd=_supervisor_fd(env),
        control_socket=Path(env[CONTROL_SOCKET]) if env.get(CONTROL_SOCKET) else None,
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
    text = env.get(ENDPOINT)
    if text and not (split_url(text).scheme in ("http", "https") and split_url(text).hostname):
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
        asked_for=bool(env.get("PAYMENT_GATEWAY") or env.get(ENDPOINT)),
    )


def _mail_from(env: Mapping[str, str]) -> str | None:
    address = env.get("MAIL_FROM") or None
    if address is not None and not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", address):
        raise ConfigError(f"MAIL_FROM={address} must be one address, like orders@shop.example.")
    return address


def _tokens(env: Mapping[str, str]) -> TokenSettings | None:
    issuer, audience = env.get("JWT_ISSUER") or "", env.get("JWT_AUDIENCE") or ""
    audiences = frozenset(filter(None, map(str.strip, audience.split(","))))
    if not issuer and not audiences:
        return None
    if not re.fullmatch(r"(https://|http://127\.0\.0\.1:)[^\s?#]+", issuer) or not audiences:
        raise ConfigError(
            "JWT_ISSUER must be an https address (or on 127.0.0.1), and JWT_AUDIENCE names with commas between them."
        )
    return TokenSettings(issuer, audiences)


def checked_token(token: str, source: str) -> str:
    """``token``. Raises `ConfigError` naming its ``source`` when it is too short."""
    if len(token) < MIN_TOKEN_CHARACTERS:
        raise ConfigError(f"{source} must have at least {MIN_TOKEN_CHARACTERS} characters that nobody can guess.")
    return token


def _supervisor_fd(env: Mapping[str, str]) -> int | None:
    text = env.get(SUPERVISOR_FD)
    if not text:
        return None
    try:
        descriptor = int(text)
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return descriptor
    except (ValueError, OverflowError, OSError):
        pass
    raise ConfigError(f"{SUPERVISOR_FD}={text} is no pipe that this process inherited: leave it unset.")


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
