"""Where each variable comes from; the operator's token; and a service stops when its supervisor is gone."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.infra.stack import ROOT
from shopflow.aws.wiring import operators_token
from shopflow.config import MIN_TOKEN_CHARACTERS, TokenSettings, load_config
from shopflow.environment import ENDPOINT, SUPERVISOR_FD, adopt_environment, canonical, environment_of, on_loopback
from shopflow.errors import ConfigError
from workers.gateway import gateway_of

RESOURCES = dict.fromkeys(("TOPIC_ARN", "ORDERS_TABLE", "INVENTORY_TABLE", "EVENTS_TABLE", "OPEN_ORDERS_INDEX"), "x")
ENV = {f"SHOPFLOW_{name}": value for name, value in RESOURCES.items()}
TOKEN = "q" * MIN_TOKEN_CHARACTERS
DEAF = """
import os, sys
from shopflow import supervision
supervision.STOP_SECONDS = 0.1
supervision.stop_when_orphaned(int(sys.argv[1]), lambda: None)
print("ready", flush=True)
while True:
    pass
"""


def test_a_short_token_is_refused_and_no_token_is_shown() -> None:
    with pytest.raises(ConfigError, match=f"OPS_TOKEN must have at least {MIN_TOKEN_CHARACTERS}") as error:
        load_config(ENV | {"OPS_TOKEN": TOKEN[1:]})
    assert TOKEN[1:] not in str(error.value)
    assert TOKEN not in repr(load_config(ENV | {"OPS_TOKEN": TOKEN}))
    assert load_config(ENV | {"OPS_TOKEN": ""}).ops_token is None


def test_the_processes_that_a_service_starts_inherit_neither_the_token_nor_the_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    given = {"OPS_TOKEN": TOKEN, SUPERVISOR_FD: str(reading)}
    for name, value in (ENV | given | {"SHOPFLOW_ENV_FILE": os.devnull}).items():
        monkeypatch.setenv(name, value)
    config = load_config(adopt_environment())
    assert (config.ops_token, config.supervisor_fd) == (TOKEN, reading)
    assert not given.keys() & os.environ.keys()
    for end in (reading, writing):
        os.close(end)


@pytest.mark.parametrize("settings", [{ENDPOINT: "http://127.0.0.1:4566"}, {"PAYMENT_GATEWAY": "simulated"}])
def test_the_simulated_gateway_charges_on_a_local_aws_and_where_it_is_asked_for(settings: dict[str, str]) -> None:
    assert gateway_of(load_config({**ENV, **settings}).gateway).name == "simulated gateway"


def test_on_aws_payment_does_not_start_by_itself_with_a_gateway_that_takes_no_money() -> None:
    on_aws = load_config({**ENV, "PAYMENT_GATEWAY": ""})  # every other service starts
    with pytest.raises(ConfigError, match="PAYMENT_GATEWAY is not set"):
        gateway_of(on_aws.gateway)
    with pytest.raises(ConfigError, match="PAYMENT_GATEWAY=stripe must be one of simulated"):
        load_config({**ENV, "PAYMENT_GATEWAY": "stripe"})


def test_with_an_issuer_only_customers_with_a_token_order() -> None:
    asked = load_config({**ENV, "JWT_ISSUER": "https://customers.example", "JWT_AUDIENCE": "shop, app"})
    assert asked.tokens == TokenSettings("https://customers.example", frozenset({"shop", "app"}))
    assert load_config({**ENV, "JWT_ISSUER": "", "JWT_AUDIENCE": ""}).tokens is None


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
        load_config({**ENV, **settings})


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
    config = load_config({**ENV, "AWS_REGION": "eu-west-1", "OPS_TOKEN_PARAMETER": "/shop/token"})
    assert operators_token(config) == token
    assert ("the operator's page is off" in caplog.text) == (token is None)


def is_accepted(**settings: str) -> bool:
    latency = {"PAYMENT_LATENCY_MIN_MS": "0", "PAYMENT_LATENCY_MAX_MS": "60000"}
    try:
        load_config({**ENV, **latency, **settings})
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


@pytest.mark.parametrize("text", ["-1", "99999", "pipe"])
def test_a_descriptor_that_is_not_an_inherited_pipe_is_a_wrong_setting(text: str) -> None:
    with pytest.raises(ConfigError, match=SUPERVISOR_FD):
        load_config(ENV | {SUPERVISOR_FD: text})


def test_a_service_that_does_not_stop_without_its_supervisor_is_ended() -> None:
    """tests/infra/test_run_all.py kills a real supervisor."""
    reading, writing = os.pipe()
    command = [sys.executable, "-c", DEAF, str(reading)]
    with subprocess.Popen(command, cwd=ROOT, pass_fds=[reading], stdout=subprocess.PIPE) as process:
        os.close(reading)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.close(writing)
        assert process.wait(20) == 1


LOCAL = {ENDPOINT: "http://127.0.0.1:4566", "AWS_REGION": "us-east-1", "SHOPFLOW_ORDERS_TABLE": "local"}
REAL = {"AWS_REGION": "eu-west-1", "SHOPFLOW_ORDERS_TABLE": "real"}
SHELL = {"AWS_REGION": "eu-west-1", "AWS_PROFILE": "mine", "SHOPFLOW_ORDERS_TABLE": "mine", "PORT": "3001"}


@pytest.mark.parametrize(
    ("exported", "own", "expected"),
    [
        pytest.param(SHELL, LOCAL, LOCAL | {"PORT": "3001", "AWS_PROFILE": None}, id="a local AWS has its settings"),
        pytest.param(SHELL, REAL, SHELL, id="what is exported wins on real AWS"),
        pytest.param(dict.fromkeys(SHELL, ""), REAL, REAL | {"PORT": None}, id="an empty variable is an unset one"),
        pytest.param(
            {**LOCAL, "AWS_ACCESS_KEY_ID": "role", "AWS_SESSION_TOKEN": "role", "AWS_PROFILE": "mine"},
            {},
            {"AWS_ACCESS_KEY_ID": "role", "AWS_SESSION_TOKEN": "role", "AWS_PROFILE": None},
            id="without a file, an exported local endpoint brings its credentials",
        ),
        pytest.param(
            {ENDPOINT: "https://aws.example.com", "AWS_PROFILE": "mine"},
            LOCAL,
            {ENDPOINT: LOCAL[ENDPOINT], "AWS_PROFILE": None},
            id="no exported endpoint redirects a stack",
        ),
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "mine", "AWS_LAMBDA_FUNCTION_NAME": "audit"},
            LOCAL,
            {"AWS_ACCESS_KEY_ID": "test", "AWS_CONFIG_FILE": os.devnull, "AWS_LAMBDA_FUNCTION_NAME": "audit"},
            id="no real credentials reach it",
        ),
        pytest.param(
            {"no_proxy": "example.com", "SHOPFLOW_CATALOG_OVERLAY": "mine.json", "SHOPFLOW_API_URL": "old"},
            LOCAL,
            {"SHOPFLOW_CATALOG_OVERLAY": "mine.json", "SHOPFLOW_API_URL": None},
            id="a person chooses the overlay, and no other resource",
        ),
    ],
)
def test_a_local_aws_is_what_its_env_file_says(
    exported: dict[str, str], own: dict[str, str], expected: dict[str, str | None]
) -> None:
    env = environment_of(exported, own)
    assert {name: env.get(name) for name in expected} == expected
    assert environment_of(env, own) == env, "a service that inherits it reads the same"


def test_no_proxy_is_used_for_a_local_aws() -> None:
    env = environment_of({"NO_PROXY": "example.com"}, {ENDPOINT: "http://localstack:4566"})
    hosts = {"example.com", "localhost", "127.0.0.1", "::1", "[::1]", "localstack"}
    assert hosts <= set(env["no_proxy"].split(","))
    assert env["NO_PROXY"] == env["no_proxy"]


def test_an_endpoint_on_this_machine_has_many_spellings() -> None:
    spellings = ("http://127.0.0.1:4566", "http://localhost:4566/", "http://[::1]:4566", "http://127.0.0.2:4566")
    assert {canonical(one) for one in spellings} == {spellings[0]}
    assert all(map(on_loopback, spellings))
    others = ("https://sqs.us-east-1.amazonaws.com", "http://127.0.0.1.example.com", "http://[::1", "4566", "")
    assert not any(map(on_loopback, others))
    assert canonical("http://127.0.0.1:4567") != spellings[0] != canonical("https://127.0.0.1:4566")
