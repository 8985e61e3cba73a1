"""The decisions behind the infrastructure commands."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from scripts.console import FAILED, INTERRUPTED, MISUSED, CommandError, Progress, run_command
from scripts.infra import envfile
from scripts.infra.__main__ import chosen_port
from scripts.infra.clouds import External, choose
from scripts.infra.emulator import Embedded
from scripts.infra.localstack import LocalStack
from scripts.infra.stack import ROOT, Stack, stack_for_developer, stack_for_tests
from scripts.infra.terraform import MINIMUM_VERSION, PROVIDER, Module, provider_mirror
from scripts.infra.terraform_log import ApplyLog
from scripts.products import SEED, seed, shortfall
from scripts.restock import parse, restock, restock_all
from shopflow.config import load_config
from shopflow.domain.stock import Product
from shopflow.errors import ConfigError, ShopFlowError, Unavailable
from shopflow.memory.tables import MemoryProducts, Tables

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
    stack.env_file.write_text(envfile.render(OUTPUTS, "http://127.0.0.1:4570"))
    config = load_config(stack.environment({"AWS_ENDPOINT_URL": "https://elsewhere", "SHOPFLOW_TOPIC_ARN": "other"}))
    assert config.endpoint_url == "http://127.0.0.1:4570"
    assert config.resources.topic_arn == OUTPUTS["topic_arn"]
    assert config.resources.queue_urls == {"audit": "http://127.0.0.1:4570/000000000000/shopflow-audit-queue"}
    assert config.resources.open_orders_index == "open-orders"
    assert config.receive_wait_seconds == 2


def test_no_real_credentials_and_no_other_stack_s_names_reach_a_stack_s_processes(stack: Stack) -> None:
    exported = {
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "secret",
        "SHOPFLOW_ORDERS_TABLE": "real",
        "HOME": "/",
    }
    assert stack.environment(exported) == {"HOME": "/", "SHOPFLOW_ENV_FILE": str(stack.env_file)}


def test_the_developer_s_stack_and_the_tests_stack_share_nothing(tmp_path: Path) -> None:
    ours, theirs = stack_for_developer(root=tmp_path), stack_for_tests(root=tmp_path)
    assert ours.folder != theirs.folder
    assert ours.env_file != theirs.env_file
    assert ours.port != theirs.port
    assert ours.name_prefix != theirs.name_prefix


def test_a_stack_keeps_its_port(tmp_path: Path) -> None:
    assert stack_for_tests(root=tmp_path).port == stack_for_tests(root=tmp_path).port
    stack_for_developer(4570, tmp_path).remember(port=4570)
    assert stack_for_developer(root=tmp_path).port == 4570
    assert stack_for_developer(4571, tmp_path).port == 4571


def test_the_embedded_emulator_is_the_default_cloud(stack: Stack) -> None:
    assert isinstance(choose(stack, {}), Embedded)
    assert isinstance(choose(stack, {"CLOUD": "localstack"}), LocalStack)
    assert isinstance(choose(stack, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "CLOUD": "localstack"}), External)


def test_an_exported_endpoint_that_is_the_stack_s_own_asks_for_the_cloud_that_it_had(stack: Stack) -> None:
    stack.remember(cloud="embedded", endpoint=stack.own_endpoint)
    assert isinstance(choose(stack, {"AWS_ENDPOINT_URL": stack.own_endpoint}), Embedded)
    assert isinstance(choose(stack, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}), External)


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "4.5"])
def test_a_port_that_is_none_is_a_wrong_setting(port: str) -> None:
    with pytest.raises(ConfigError, match=f"SHOPFLOW_PORT={port} must be a number from 1 to 65535"):
        chosen_port({"SHOPFLOW_PORT": port})


def test_the_fingerprint_changes_with_what_is_applied_and_where(stack: Stack) -> None:
    module = Module(stack, "http://127.0.0.1:1")
    others = [replace(module, endpoint="http://127.0.0.1:2"), Module(replace(stack, name_prefix="b"), module.endpoint)]
    assert module.fingerprint() == replace(module).fingerprint()
    assert module.fingerprint() not in [other.fingerprint() for other in others]


def test_the_copy_of_the_module_finds_the_catalogue_where_the_module_looks(stack: Stack) -> None:
    module = Module(stack, stack.own_endpoint)
    module.copy()
    assert (module.folder / "main.tf").read_text() == (ROOT / "terraform" / "main.tf").read_text()
    assert (module.folder / ".terraform.lock.hcl").exists()
    assert (module.folder / "../schemas/catalog.json").exists()


def test_the_version_asked_for_is_the_one_that_the_module_requires() -> None:
    required = re.search(r'required_version = ">= (\d+)\.(\d+)', (ROOT / "terraform" / "versions.tf").read_text())
    assert required
    assert tuple(map(int, required.groups())) == MINIMUM_VERSION


def test_a_mirror_of_the_provider_is_used_only_where_it_holds_the_provider(tmp_path: Path) -> None:
    nowhere = {"TF_PLUGIN_DIR": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "XDG_DATA_DIRS": ""}
    assert provider_mirror(nowhere) != tmp_path
    (tmp_path / "data/terraform/plugins" / PROVIDER).mkdir(parents=True)
    assert provider_mirror(nowhere | {"HOME": "/"}) is not None
    (tmp_path / PROVIDER).mkdir(parents=True)
    assert provider_mirror(nowhere) == tmp_path


def hook(kind: str, name: str, **more: object) -> str:
    resource = {"addr": f"module.bus.aws_sqs_queue.{name}", "resource_type": "aws_sqs_queue"}
    return json.dumps({"type": kind, "hook": {"resource": resource, "action": "create", **more}})


def test_an_apply_tells_how_far_it_is_and_what_it_waits_for() -> None:
    shown: list[str] = []
    log = ApplyLog(shown.append)
    log.read(
        json.dumps({"type": "change_summary", "changes": {"operation": "plan", "add": 2, "change": 0, "remove": 0}})
    )
    log.read(hook("apply_start", "a"))
    log.read(hook("apply_progress", "a", elapsed_seconds=10))
    log.read(hook("apply_complete", "a"))
    log.read(hook("apply_start", "data", action="read"))
    assert shown == [
        "0 of 2, waiting for aws_sqs_queue",
        "0 of 2, waiting for aws_sqs_queue (10 s)",
        "1 of 2: bus.aws_sqs_queue.a",
    ]


def test_a_failed_apply_is_told_in_one_line() -> None:
    log = ApplyLog(lambda _: None)
    diagnostic = {
        "severity": "error",
        "summary": "creating Queue",
        "detail": "it is\nfull",
        "address": "aws_sqs_queue.a",
    }
    log.read("not JSON\n")
    assert log.failure() == "not JSON"
    log.read(json.dumps({"type": "diagnostic", "diagnostic": diagnostic}))
    assert log.failure() == "aws_sqs_queue.a: creating Queue. it is full"


def raising(error: BaseException) -> int:
    raise error


def test_each_error_made_on_purpose_is_one_line_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    long = "Something is wrong: " + "do this. " * 40
    assert run_command(lambda: raising(CommandError(long))) == FAILED
    assert run_command(lambda: raising(ConfigError("X is not set."))) == MISUSED
    assert run_command(lambda: raising(KeyboardInterrupt())) == INTERRUPTED
    assert [line.strip() for line in capsys.readouterr().err.splitlines()] == [long.strip(), "X is not set."]


def test_progress_off_a_terminal_is_plain_lines_without_repeats() -> None:
    text = io.StringIO()
    with Progress(Console(file=text)).step("Cooking") as show:
        for detail in ("1 of 2", "1 of 2", "2 of 2"):
            show(detail)
    lines = text.getvalue().splitlines()
    assert lines[:3] == ["Cooking …", "  1 of 2", "  2 of 2"]
    assert re.fullmatch(r"✔ Cooking \(\d+\.\d s\)", lines[3])


@pytest.fixture
def products() -> MemoryProducts:
    products = MemoryProducts(Tables())
    seed(products)
    return products


def test_restocking_raises_stock_and_received_together(products: MemoryProducts) -> None:
    assert restock(products, "PROD-002", 5) == "PROD-002  Mechanical Keyboard: +5, stock 5"
    found = products.read(["PROD-002"])["PROD-002"]
    assert (found.stock, found.received) == (5, 5)


def test_restocking_an_unknown_product_says_so(products: MemoryProducts) -> None:
    with pytest.raises(CommandError, match="There is no product PROD-9"):
        restock(products, "PROD-9", 1)


class OneMalformed(MemoryProducts):
    """Refuses to restock PROD-001, whose row cannot be read."""

    def restock(self, product_id: str, units: int) -> Product | None:
        if product_id == "PROD-001":
            raise ShopFlowError("its row is malformed: received")
        return super().restock(product_id, units)


def test_one_product_that_cannot_be_restocked_keeps_no_other_from_it() -> None:
    text = io.StringIO()
    products = OneMalformed(Tables())
    seed(products)
    code = restock_all(products, {"PROD-001": 1, "PROD-002": 5}, Progress(Console(file=text)))
    assert code == FAILED
    assert text.getvalue().splitlines() == [
        "PROD-001: its row is malformed: received",
        "PROD-002  Mechanical Keyboard: +5, stock 5",
    ]


def test_an_outage_is_told_once_not_for_each_product(products: MemoryProducts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "restock", lambda *_: raising(Unavailable("UpdateItem: no answer")))
    with pytest.raises(Unavailable):
        restock_all(products, {"PROD-001": 1, "PROD-002": 5}, Progress())


def test_the_shortfall_brings_a_product_back_to_its_first_stock_and_never_takes_any_away() -> None:
    headphones = SEED[0]
    assert shortfall(replace(headphones, stock=4)) == 11
    assert shortfall(replace(headphones, stock=99)) == 0
    assert shortfall(replace(headphones, product_id="PROD-900", stock=0)) == 0


@pytest.mark.parametrize("arguments", [["--product=PROD-001"], ["--units=5"], ["--product=PROD-001", "--units=0"]])
def test_restocking_one_product_needs_its_id_and_a_positive_number(arguments: list[str]) -> None:
    with pytest.raises(ConfigError):
        parse(arguments)


def test_make_help_lists_every_target_that_a_person_may_ask_for() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"\.PHONY:((?:.*\\\n)*.*)", text)
    assert phony
    internal = {"lint", "terraform-check"}
    described = set(re.findall(r"^([a-z0-9-]+):.*## ", text, re.MULTILINE))
    assert set(phony[1].replace("\\\n", " ").split()) - internal == described


def test_the_example_of_an_env_file_names_every_variable_that_the_configuration_reads() -> None:
    read = re.findall(r'(?:env\.get\(|\(env, )"([A-Z]\w+)"', (ROOT / "shopflow" / "config.py").read_text())
    aliases = {"AWS_DEFAULT_REGION", "SHOPFLOW_ENV_FILE"}
    named = re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(read) > 10
    assert set(read) - aliases <= set(named)


def test_only_the_developers_local_aws_saves_while_it_runs(tmp_path: Path) -> None:
    """What a session of tests does to its stack shall not outlive it, and a benchmark shall have the machine alone."""
    assert stack_for_developer(root=tmp_path).save_seconds
    assert stack_for_tests(root=tmp_path).save_seconds is None
