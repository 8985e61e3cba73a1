"""What the infrastructure commands decide: which cloud, which port, what is applied, what the env file says."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from scripts.console import FAILED, INTERRUPTED, MISUSED, CommandError, Progress, run_command
from scripts.e2e import require_no_processes
from scripts.infra.clouds import External, LocalStack, choose
from scripts.infra.emulator import Embedded
from scripts.infra.stack import API_URL, ROOT, Stack, render_env, stack_for_developer, stack_for_tests
from scripts.infra.terraform import MINIMUM_VERSION, PROVIDER, ApplyLog, Module, provider_arguments
from scripts.package import Package, on_lambda
from scripts.restock import restock, restock_all, seed
from shopflow.config import load_config
from shopflow.domain.stock import Product
from shopflow.errors import ConfigError, ShopFlowError, Unavailable
from shopflow.memory.tables import MemoryProducts, Tables

ENDPOINT = "http://127.0.0.1:4570"
OUTPUTS = {
    "region": "us-east-1",
    "topic_arn": "arn:aws:sns:us-east-1:000000000000:shopflow-orders",
    "queue_urls": {"audit": "http://localhost.localstack.cloud:4566/000000000000/shopflow-audit-queue"},
    "dlq_urls": {"audit": "http://localhost.localstack.cloud:4566/000000000000/shopflow-audit-dlq"},
    "orders_table": "shopflow-orders",
    "inventory_table": "shopflow-inventory",
    "events_table": "shopflow-events",
    "open_orders_index": "open-orders",
}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack("own", tmp_path / "own", tmp_path / "env", 4570, "shopflow-own")


def test_the_env_file_is_what_the_configuration_reads(stack: Stack) -> None:
    stack.env_file.write_text(render_env(OUTPUTS, ENDPOINT))
    config = load_config(stack.environment({"AWS_ENDPOINT_URL": "https://elsewhere", "SHOPFLOW_TOPIC_ARN": "other"}))
    assert config.endpoint_url == ENDPOINT
    assert config.resources.topic_arn == OUTPUTS["topic_arn"]
    assert config.resources.queue_urls == {"audit": f"{ENDPOINT}/000000000000/shopflow-audit-queue"}
    assert config.resources.open_orders_index == "open-orders"


def test_the_env_file_gives_the_functions_an_address_that_needs_no_name_resolution() -> None:
    text = render_env(OUTPUTS | {"api_url": "http://b4b6c270.execute-api.127.0.0.1:4566"}, ENDPOINT)
    assert f"{API_URL}={ENDPOINT}/_aws/execute-api/b4b6c270/$default\n" in text
    assert API_URL not in render_env(OUTPUTS | {"api_url": None}, ENDPOINT)


def test_no_real_credentials_and_no_other_stack_s_names_reach_a_stack_s_processes(stack: Stack) -> None:
    exported = {"AWS_PROFILE": "production", "AWS_SESSION_TOKEN": "x", "SHOPFLOW_ORDERS_TABLE": "real", "HOME": "/"}
    assert stack.environment(exported) == {"HOME": "/", "SHOPFLOW_ENV_FILE": str(stack.env_file)}


def test_the_developer_s_stack_and_the_tests_stack_share_nothing(tmp_path: Path) -> None:
    developers, tests = stack_for_developer(root=tmp_path), stack_for_tests(root=tmp_path)
    for name in ("folder", "env_file", "port", "name_prefix"):
        assert getattr(developers, name) != getattr(tests, name)
    assert developers.save_seconds, "the developer's orders must survive a crash"
    assert tests.save_seconds is None, "what a test session does must not outlive it"


def test_a_stack_keeps_its_port(tmp_path: Path) -> None:
    assert stack_for_tests(root=tmp_path).port == stack_for_tests(root=tmp_path).port
    stack_for_developer(4570, tmp_path).remember(port=4570)
    assert stack_for_developer(root=tmp_path).port == 4570
    assert stack_for_developer(4571, tmp_path).port == 4571


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


def test_functions_and_processes_do_not_share_the_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.e2e.answers", lambda url: url == "http://127.0.0.1:3000/health")
    with pytest.raises(CommandError, match="Stop them first"):
        require_no_processes("http://127.0.0.1:3000")
    require_no_processes("http://127.0.0.1:3001")


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
    assert replace(module).fingerprint() == first
    assert first not in [other.fingerprint() for other in others]
    package.file.write_bytes(b"second")
    assert module.fingerprint() != first


def test_only_with_a_package_terraform_makes_functions(stack: Stack) -> None:
    package = Package(stack.folder / "lambda.zip", on_lambda("3.13", "arm64"))
    functions = {
        "compute": "lambda",
        "lambda_package": str(package.file),
        "lambda_runtime": "python3.13",
        "lambda_architecture": "arm64",
    }
    processes = Module(stack, ENDPOINT).variables
    assert Module(stack, ENDPOINT, package=package).variables == processes | functions


def test_the_copy_of_the_module_finds_the_catalogue_where_the_module_looks(stack: Stack) -> None:
    module = Module(stack, ENDPOINT)
    module.copy()
    assert (module.folder / "main.tf").read_text() == (ROOT / "terraform" / "main.tf").read_text()
    assert (module.folder / ".terraform.lock.hcl").exists()
    assert (module.folder / "../schemas/catalog.json").exists()


def test_the_version_asked_for_is_the_one_that_the_module_requires() -> None:
    required = re.search(r'required_version = ">= (\d+)\.(\d+)', (ROOT / "terraform" / "versions.tf").read_text())
    assert required
    assert tuple(map(int, required.groups())) == MINIMUM_VERSION


def test_a_folder_is_used_as_a_mirror_only_if_it_holds_the_provider(tmp_path: Path) -> None:
    mirror = f"-plugin-dir={tmp_path}"
    assert mirror not in provider_arguments({"TF_PLUGIN_DIR": str(tmp_path)})
    (tmp_path / PROVIDER).mkdir(parents=True)
    assert provider_arguments({"TF_PLUGIN_DIR": str(tmp_path)}) == [mirror]


def test_an_apply_shows_how_far_it_is_and_why_it_failed() -> None:
    shown: list[str] = []
    log = ApplyLog(shown.append)
    log.read("not JSON\n")
    assert log.failure() == "not JSON"
    hook = {"action": "create", "resource": {"addr": "module.bus.aws_sqs_queue.a"}}
    error = {"severity": "error", "summary": "creating Queue", "detail": "it is\nfull", "address": "aws_sqs_queue.a"}
    messages: list[dict[str, Any]] = [
        {"type": "change_summary", "changes": {"operation": "plan", "add": 2, "change": 0, "remove": 0}},
        {"type": "apply_progress", "hook": hook | {"elapsed_seconds": 10}},
        {"type": "apply_complete", "hook": hook},
        {"type": "apply_complete", "hook": hook | {"action": "read"}},
        {"type": "diagnostic", "diagnostic": error},
    ]
    for message in messages:
        log.read(json.dumps(message))
    assert shown == ["0 of 2 done, waiting (10 s)", "1 of 2 done: bus.aws_sqs_queue.a"]
    assert log.failure() == "aws_sqs_queue.a: creating Queue. it is full"


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


def test_progress_in_a_file_is_plain_lines_without_repeats() -> None:
    text = io.StringIO()
    with Progress(Console(file=text)).step("Cooking") as show:
        for detail in ("1 of 2", "1 of 2", "2 of 2"):
            show(detail)
    *details, end = text.getvalue().splitlines()
    assert details == ["Cooking …", "  1 of 2", "  2 of 2"]
    assert re.fullmatch(r"✔ Cooking \(\d+\.\d s\)", end)


@pytest.fixture
def products() -> MemoryProducts:
    products = MemoryProducts(Tables())
    seed(products)
    return products


def test_restocking_raises_stock_and_received_together(products: MemoryProducts) -> None:
    assert restock(products, "PROD-002", 5) == "PROD-002  Mechanical Keyboard: +5, stock 5"
    found = products.read(["PROD-002"])["PROD-002"]
    assert (found.stock, found.received) == (5, 5)
    with pytest.raises(CommandError, match="There is no product PROD-9"):
        restock(products, "PROD-9", 1)


def test_a_product_that_cannot_be_restocked_is_reported_and_the_others_are_restocked(
    products: MemoryProducts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def malformed(product_id: str, units: int) -> Product | None:
        if product_id == "PROD-001":
            raise ShopFlowError("its row is malformed: received")
        return MemoryProducts.restock(products, product_id, units)

    monkeypatch.setattr(products, "restock", malformed)
    text = io.StringIO()
    assert restock_all(products, {"PROD-001": 1, "PROD-002": 5}, Progress(Console(file=text))) == FAILED
    assert text.getvalue().splitlines() == [
        "PROD-001: its row is malformed: received",
        "PROD-002  Mechanical Keyboard: +5, stock 5",
    ]


def test_an_outage_is_reported_once_and_not_for_each_product(
    products: MemoryProducts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "restock", lambda *_: raising(Unavailable("UpdateItem: no answer")))
    with pytest.raises(Unavailable):
        restock_all(products, {"PROD-001": 1, "PROD-002": 5}, Progress())


def test_make_help_lists_every_target_for_people() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"\.PHONY:((?:.*\\\n)*.*)", text)
    assert phony
    internal = {"lint", "terraform-check"}
    described = set(re.findall(r"^([a-z0-9-]+):.*## ", text, re.MULTILINE))
    assert set(phony[1].replace("\\\n", " ").split()) - internal == described


def test_the_example_of_an_env_file_names_every_variable_that_the_configuration_reads() -> None:
    read = re.findall(r'(?:env\.get\(|\(env, )"([A-Z]\w+)"', (ROOT / "shopflow" / "config.py").read_text())
    named = re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(read) > 10
    assert set(read) - {"AWS_DEFAULT_REGION", "SHOPFLOW_ENV_FILE"} <= set(named)
