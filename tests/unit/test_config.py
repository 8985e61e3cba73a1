"""What the settings of a process must be."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping

import pytest

from shopflow.config import MIN_TOKEN_CHARACTERS, TokenSettings, adopt_environment, load_config
from shopflow.errors import ConfigError
from workers.gateway import gateway_of

ENVIRONMENT: Mapping[str, str] = {
    "SHOPFLOW_TOPIC_ARN": "arn:aws:sns:us-east-1:000000000000:orders",
    "SHOPFLOW_ORDERS_TABLE": "orders",
    "SHOPFLOW_INVENTORY_TABLE": "inventory",
    "SHOPFLOW_EVENTS_TABLE": "events",
    "SHOPFLOW_OPEN_ORDERS_INDEX": "open-orders",
}


@pytest.mark.parametrize("settings", [{}, {"OPS_TOKEN": ""}])
def test_without_a_token_there_is_no_operator(settings: dict[str, str]) -> None:
    assert load_config({**ENVIRONMENT, **settings}).ops_token is None


def test_a_short_token_is_refused_and_not_shown() -> None:
    short = "q" * (MIN_TOKEN_CHARACTERS - 1)
    with pytest.raises(ConfigError, match=f"OPS_TOKEN must have at least {MIN_TOKEN_CHARACTERS}") as error:
        load_config({**ENVIRONMENT, "OPS_TOKEN": short})
    assert short not in str(error.value)


def test_the_token_is_not_shown_with_the_configuration() -> None:
    token = secrets.token_hex(MIN_TOKEN_CHARACTERS)
    config = load_config({**ENVIRONMENT, "OPS_TOKEN": token})
    assert config.ops_token == token
    assert token not in repr(config)


def test_the_processes_that_a_service_starts_do_not_inherit_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPFLOW_ENV_FILE", os.devnull)
    token = secrets.token_hex(MIN_TOKEN_CHARACTERS)
    monkeypatch.setenv("OPS_TOKEN", token)
    assert adopt_environment()["OPS_TOKEN"] == token
    assert "OPS_TOKEN" not in os.environ


LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
ASKED_FOR = {"PAYMENT_GATEWAY": "simulated"}


@pytest.mark.parametrize("settings", [LOCAL, ASKED_FOR, {**LOCAL, **ASKED_FOR}])
def test_the_simulated_gateway_charges_on_a_local_cloud_and_where_it_is_asked_for(settings: dict[str, str]) -> None:
    assert gateway_of(load_config({**ENVIRONMENT, **settings}).gateway).name == "simulated gateway"


def test_on_aws_payment_does_not_start_by_itself_with_a_gateway_that_takes_no_money() -> None:
    on_aws = load_config({**ENVIRONMENT, "PAYMENT_GATEWAY": ""})  # every other service starts
    with pytest.raises(ConfigError, match="PAYMENT_GATEWAY is not set"):
        gateway_of(on_aws.gateway)
    with pytest.raises(ConfigError, match="PAYMENT_GATEWAY=stripe must be one of simulated"):
        load_config({**ENVIRONMENT, "PAYMENT_GATEWAY": "stripe"})


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({}, None),
        ({"JWT_ISSUER": "", "JWT_AUDIENCE": ""}, None),
        (
            {"JWT_ISSUER": "https://customers.example", "JWT_AUDIENCE": "shop, app"},
            TokenSettings("https://customers.example", frozenset({"shop", "app"})),
        ),
    ],
)
def test_with_an_issuer_only_customers_with_a_token_order(
    settings: dict[str, str], tokens: TokenSettings | None
) -> None:
    assert load_config({**ENVIRONMENT, **settings}).tokens == tokens


@pytest.mark.parametrize(
    "settings",
    [
        {"JWT_ISSUER": "https://customers.example"},
        {"JWT_AUDIENCE": "shop"},
        {"JWT_ISSUER": "http://customers.example", "JWT_AUDIENCE": "shop"},
        {"MAIL_FROM": "orders"},
        {"MAIL_FROM": "orders@shop.example\nBcc: a@b.example"},
    ],
)
def test_half_a_setting_is_refused_by_its_name(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"JWT_ISSUER|MAIL_FROM"):
        load_config({**ENVIRONMENT, **settings})
