"""The operator's token is long, never shown and never inherited. The region may be the profile's."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

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
