"""What the infrastructure commands decide: which cloud, which port, what is applied, what the env file says."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from dotenv import dotenv_values
from rich.console import Console

from scripts import e2e, env
from scripts.console import FAILED, INTERRUPTED, MISUSED, OK, CommandError, Progress, run_command
from scripts.infra import terraform
from scripts.infra.clouds import External, LocalStack, choose
from scripts.infra.emulator import Embedded
from scripts.infra.stack import API_URL, ROOT, Stack, render_env, stack_for_developer
from scripts.infra.terraform import PROVIDER, Module, provider_arguments
from scripts.package import Package, on_lambda
from scripts.products import put, read_products
from scripts.restock import restock, restock_all
from shopflow.config import load_config
from shopflow.domain.stock import Product
from shopflow.errors import ConfigError, ShopFlowError, Unavailable
from shopflow.memory.tables import MemoryProducts, Tables

ENDPOINT = "http://127.0.0.1:4570"
OUTPUTS = {
    "name_prefix": "shopflow",
    "region": "us-east-1",
    "topic_arn": "arn:aws:sns:us-east-1:000000000000:shopflow-orders",
    "queue_urls": {"audit": "http://localhost.localstack.cloud:4566/000000000000/shopflow-audit-queue"},
    "dlq_urls": {"audit": "http://localhost.localstack.cloud:4566/000000000000/shopflow-audit-dlq"},
    "orders_table": "shopflow-orders",
    "inventory_table": "shopflow-inventory",
    "events_table": "shopflow-events",
    "open_orders_index": "open-orders",
    "api_url": "http://b4b6c270.execute-api.127.0.0.1:4566",
}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack("own", tmp_path / "own", tmp_path / "env", 4570, "shopflow-own")


def test_the_env_file_alone_says_what_a_stack_s_processes_use(stack: Stack) -> None:
    exported = {"AWS_ENDPOINT_URL": "https://elsewhere", "AWS_PROFILE": "production", "SHOPFLOW_TOPIC_ARN": "real"}
    stack.env_file.write_text(render_env(OUTPUTS, ENDPOINT))
    env = stack.environment(exported)
    config = load_config(env)
    assert (config.endpoint_url, config.resources.topic_arn) == (ENDPOINT, OUTPUTS["topic_arn"])
    assert config.resources.queue_urls == {"audit": f"{ENDPOINT}/000000000000/shopflow-audit-queue"}
    assert env[API_URL] == f"{ENDPOINT}/_aws/execute-api/b4b6c270/$default", "an address that needs no name resolution"
    assert "AWS_PROFILE" not in env


def test_the_env_file_of_a_stack_on_aws_has_no_endpoint_and_no_keys() -> None:
    env = dotenv_values(stream=io.StringIO(render_env(OUTPUTS, None)))
    assert [name for name in env if name.startswith("AWS_")] == ["AWS_REGION"]
    assert env["SHOPFLOW_AUDIT_QUEUE_URL"] == OUTPUTS["queue_urls"]["audit"]  # type: ignore[index]
    assert env[API_URL] == OUTPUTS["api_url"]
    assert "SQS_WAIT_SECONDS" not in env


@pytest.mark.parametrize(
    ("outputs", "code", "shown"),
    [(OUTPUTS, OK, "the stack shopflow in us-east-1 (AWS)"), ({}, FAILED, "Terraform has no outputs. Run")],
)
def test_make_env_writes_the_outputs_of_the_state_or_says_that_there_are_none(
    outputs: dict[str, object],
    code: int,
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "outputs.json").write_text(json.dumps({name: {"value": value} for name, value in outputs.items()}))
    (tmp_path / "terraform").write_text(f"#!/bin/sh\n[ $* = 'output -json' ]; cat {tmp_path}/outputs.json\n")
    (tmp_path / "terraform").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(sys, "argv", ["env", f"--file={tmp_path / 'settings'}"])
    assert run_command(env.main) == code
    captured = capsys.readouterr()
    assert shown in captured.out + captured.err
    assert (tmp_path / "settings").exists() == (code == OK)


def test_a_stack_keeps_its_port(tmp_path: Path) -> None:
    stack_for_developer(4570, tmp_path).remember(port=4570)
    assert [stack_for_developer(port, tmp_path).port for port in (None, 4571)] == [4570, 4571]


@pytest.mark.parametrize(
    ("settings", "last", "kind"),
    [
        ({}, None, Embedded),
        ({"CLOUD": "localstack"}, None, LocalStack),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "CLOUD": "localstack"}, None, External),
        ({"AWS_ENDPOINT_URL": ENDPOINT}, None, External),
        ({"AWS_ENDPOINT_URL": ENDPOINT}, "embedded", Embedded),
        ({"AWS_ENDPOINT_URL": ENDPOINT}, "localstack", LocalStack),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "embedded", External),
    ],
)
def test_the_settings_and_the_last_cloud_choose_the_cloud(
    stack: Stack, settings: dict[str, str], last: str | None, kind: type
) -> None:
    if last:
        stack.remember(cloud=last, endpoint=ENDPOINT)
    assert type(choose(stack, settings)) is kind


def test_functions_and_processes_do_not_share_the_queues(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e2e, "answers", lambda _: True)
    stack.env_file.write_text(render_env(OUTPUTS, ENDPOINT))
    env = stack.environment({})
    with pytest.raises(CommandError, match="Stop them first"), e2e.running_services(load_config(env), env, Progress()):
        pass


def test_terraform_applies_again_when_anything_of_it_changes(stack: Stack) -> None:
    package = Package(stack.env_file.with_suffix(".zip"), on_lambda("3.13", "arm64"))
    package.file.write_bytes(b"first")
    module = Module(stack, ENDPOINT, package=package)
    first = module.fingerprint()
    others = [
        replace(module, endpoint="http://127.0.0.1:2"),
        replace(module, stack=replace(stack, name_prefix="b")),
        replace(module, package=None),
    ]
    assert first not in [other.fingerprint() for other in others]
    assert replace(module).fingerprint() == first
    package.file.write_bytes(b"second")
    assert module.fingerprint() != first


def test_a_folder_is_used_as_a_mirror_only_if_it_holds_the_provider(tmp_path: Path) -> None:
    mirror = f"-plugin-dir={tmp_path}"
    assert mirror not in provider_arguments({"TF_PLUGIN_DIR": str(tmp_path)})
    (tmp_path / PROVIDER).mkdir(parents=True)
    assert provider_arguments({"TF_PLUGIN_DIR": str(tmp_path)}) == [mirror]


def test_an_apply_shows_how_far_it_is_and_why_it_failed(stack: Stack) -> None:
    output = """\
Plan: 2 to add, 0 to change, 0 to destroy.
module.bus.aws_sqs_queue.a: Creating...
module.bus.aws_sqs_queue.a: Still creating... [10s elapsed]
module.bus.aws_sqs_queue.a: Creation complete after 25s [id=a]
Error: creating Queue: it is full"""
    shown: list[str] = []
    module = Module(stack, ENDPOINT)
    module.folder.mkdir(parents=True)
    with pytest.raises(CommandError, match="Terraform failed: creating Queue: it is full"):
        terraform.run(module, ["sh", "-c", f"echo '{output}'; exit 1"], shown.append)
    assert shown == [
        "0 of 2 done: bus.aws_sqs_queue.a still creating",
        "1 of 2 done: bus.aws_sqs_queue.a creation complete",
    ]


def raising(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (CommandError("Something is wrong: " + "do this. " * 40), FAILED, "Something is wrong: " + "do this. " * 40),
        (ConfigError("X is not set."), MISUSED, "X is not set."),
        (KeyboardInterrupt(), INTERRUPTED, ""),
    ],
)
def test_an_expected_error_is_one_line_and_an_exit_code(
    error: BaseException, code: int, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda: raising(error)) == code
    assert capsys.readouterr().err.strip() == shown.strip()


def test_one_product_that_cannot_be_restocked_does_not_stop_the_others_and_an_outage_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    products, text = MemoryProducts(Tables()), io.StringIO()
    put(products, read_products())
    error: ShopFlowError = ShopFlowError("its row is malformed: received")

    def failing(product_id: str, units: int) -> Product | None:
        if product_id == "PROD-001":
            raise error
        return MemoryProducts.restock(products, product_id, units)

    monkeypatch.setattr(products, "restock", failing)
    with pytest.raises(CommandError, match="There is no product PROD-9"):
        restock(products, "PROD-9", 1)
    progress, units = Progress(Console(file=text)), {"PROD-001": 1, "PROD-002": 5}
    assert restock_all(products, {"PROD-002": 1}, progress) == OK
    assert restock_all(products, units, progress) == FAILED
    assert text.getvalue().splitlines()[1:] == [
        "PROD-001: its row is malformed: received",
        "PROD-002  Mechanical Keyboard: +5, stock 6",
    ]
    error = Unavailable("UpdateItem: no answer")
    with pytest.raises(Unavailable):
        restock_all(products, units, progress)


def test_make_help_lists_every_target_for_people() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"\.PHONY:((?:.*\\\n)*.*)", text)
    assert phony
    described = set(re.findall(r"^([a-z0-9-]+):.*## ", text, re.MULTILINE))
    assert set(phony[1].replace("\\\n", " ").split()) - {"lint", "terraform-check"} == described


def test_the_example_of_an_env_file_names_every_variable_that_the_configuration_reads() -> None:
    read = re.findall(r'(?:env\.get\(|\(env, )"([A-Z]\w+)"', (ROOT / "shopflow" / "config.py").read_text())
    example = (ROOT / ".env.example").read_text()
    named = re.findall(r"^#(\w+)=", example, re.MULTILINE)
    assert dotenv_values(stream=io.StringIO(example)) == {}, "no value of the example may reach a real stack"
    assert len(read) > 10
    assert set(read) - {"AWS_DEFAULT_REGION", "SHOPFLOW_ENV_FILE"} <= set(named)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("new.json", '[{"productId": "PROD-9", "productName": "Lamp", "price": 9.90, "stock": 4}]'),
        ("new.csv", "productId,productName,price,stock\nPROD-9,Lamp,9.90,4\n"),
    ],
)
def test_products_come_from_a_json_or_a_csv_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_products(tmp_path / name) == [Product("PROD-9", "Lamp", Decimal("9.90"), 4, 4)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("PROD-9,Lamp,9.90,4\nPROD-9,Lamp,9.90,4", "a productId is there twice"),
        ("PROD-8,Lamp,9.90,4\nPROD-9,Lamp,9.905,4", "product 2 must have .*more than two decimals"),
        ("PROD-9,Lamp,-1,4", "price -1"),
        ("PROD-9,Lamp,9.90,-4", "stock -4"),
        ("PROD-9,Lamp,9.90,4.5", "stock from 0"),
        ("PROD-9,,9.90,4", "something visible"),
        ("PROD-9,Lamp,9.90", "stock from 0"),
    ],
)
def test_a_file_with_a_wrong_product_is_refused_as_a_whole(tmp_path: Path, row: str, reason: str) -> None:
    file = tmp_path / "new.csv"
    file.write_text(f"productId,productName,price,stock\n{row}\n")
    with pytest.raises(CommandError, match=reason):
        read_products(file)
