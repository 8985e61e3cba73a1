"""The operator's token is long, never shown and never inherited. The region may be the profile's."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.infra.stack import ROOT
from shopflow.aws.parameters import operators_token
from shopflow.aws.wiring import session_of
from shopflow.config import MIN_TOKEN_CHARACTERS, adopt_environment, load_config
from shopflow.errors import ConfigError

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


@pytest.mark.parametrize(("settings", "region"), [({}, "eu-north-1"), ({"AWS_REGION": "eu-west-1"}, "eu-west-1")])
def test_a_region_that_is_not_set_is_that_of_the_profile(
    settings: dict[str, str], region: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile shop]\nregion = eu-north-1\n[profile bare]\n")
    for name, value in {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "shop"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert session_of(load_config({**ENVIRONMENT, **settings})).region_name == region
    monkeypatch.setenv("AWS_PROFILE", "bare")
    with pytest.raises(ConfigError, match="set AWS_REGION"):
        session_of(load_config(ENVIRONMENT))


@pytest.mark.parametrize(
    ("value", "token"), [("t" * MIN_TOKEN_CHARACTERS, "t" * MIN_TOKEN_CHARACTERS), ("short", None), (None, None)]
)
def test_the_token_may_be_in_an_ssm_parameter_and_without_a_usable_one_the_page_is_off(
    value: str | None, token: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Ssm:
        def get_parameter(self, **asked: object) -> object:
            assert asked == {"Name": "/shop/token", "WithDecryption": True}
            if value is None:
                raise ClientError({"Error": {"Code": "ParameterNotFound", "Message": ""}}, "GetParameter")
            return {"Parameter": {"Value": value}}

    monkeypatch.setattr(boto3.session.Session, "client", lambda *_, **__: Ssm())
    config = load_config({**ENVIRONMENT, "AWS_REGION": "eu-west-1", "OPS_TOKEN_PARAMETER": "/shop/token"})
    assert operators_token(config) == token
    assert ("the operator's page is off" in caplog.text) == (token is None)


def is_accepted(**settings: str) -> bool:
    latency = {"PAYMENT_LATENCY_MIN_MS": "0", "PAYMENT_LATENCY_MAX_MS": "60000"}
    try:
        load_config({**ENVIRONMENT, **latency, **settings})
    except ConfigError:
        return False
    return True


def test_terraform_refuses_the_numbers_that_the_services_refuse() -> None:
    text = (ROOT / "terraform" / "compute.tf").read_text().partition("setting_bounds = {")[2].partition("}")[0]
    bounds = {name: (float(a), float(b)) for name, a, b in re.findall(r"(\w+) += \[([\d.]+), ([\d.]+)\]", text)}
    read = re.findall(r'_number\(env, "(\w+)"', (ROOT / "shopflow" / "config.py").read_text())
    assert set(read) == bounds.keys()
    for name, (least, most) in bounds.items():
        values = {least: True, most: True, least - 1: False, most + 1: False}
        assert {value: is_accepted(**{name: f"{value:g}"}) for value in values} == values, name
