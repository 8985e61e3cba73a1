"""What the infrastructure commands decide: which cloud, which port, what is applied, what the env file says."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from dotenv import dotenv_values

from scripts import e2e
from scripts.console import FAILED, INTERRUPTED, MISUSED, OK, QUIET, CommandError, Progress, run_command
from scripts.infra import terraform
from scripts.infra.__main__ import write_settings
from scripts.infra.clouds import External, LocalStack, choose
from scripts.infra.emulator import Embedded
from scripts.infra.stack import API_URL, ROOT, Stack, render_env
from scripts.infra.terraform import Module
from scripts.package import for_lambda
from scripts.products import read_products
from scripts.services import Command
from shopflow.config import load_config
from shopflow.domain.stock import Product
from shopflow.errors import ConfigError, Unavailable
from tests.addresses import free_port
from tests.commands import install

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
    overlay = "/home/O'Brien/my # overlay ${HOME}/catalog.json"
    stack.env_file.write_text(render_env({**OUTPUTS, "catalog_overlay": overlay}, ENDPOINT))
    env = stack.environment(exported)
    config = load_config(env)
    assert (config.endpoint_url, config.resources.topic_arn) == (ENDPOINT, OUTPUTS["topic_arn"])
    assert config.resources.queue_urls == {"audit": f"{ENDPOINT}/000000000000/shopflow-audit-queue"}
    assert env[API_URL] == f"{ENDPOINT}/_aws/execute-api/b4b6c270/$default", "an address that needs no name resolution"
    assert env["SHOPFLOW_CATALOG_OVERLAY"] == overlay
    assert "AWS_PROFILE" not in env


NOT_INITIALISED = "printf '\\nError: Required plugins are not installed\\n\\nrun:\\n  terraform init\\n' >&2; exit 1"


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        (f"echo '{json.dumps({name: {'value': value} for name, value in OUTPUTS.items()})}'", OK, "us-east-1 (AWS)"),
        ("echo '{}'", FAILED, "Terraform has no outputs. Run"),
        (NOT_INITIALISED, FAILED, "Terraform has no outputs: Required plugins are not installed"),
    ],
)
def test_make_env_writes_settings_without_endpoint_and_keys_or_says_that_terraform_has_no_outputs(
    script: str,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(tmp_path, "terraform", script)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert run_command(lambda: write_settings(tmp_path, tmp_path / ".env.local")) == code
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
    written = dotenv_values(tmp_path / ".env.local")
    assert [name for name in written if name.startswith(("AWS_", "SQS_"))] == (["AWS_REGION"] if code == OK else [])
    assert written.get(API_URL) == (OUTPUTS["api_url"] if code == OK else None)


@pytest.mark.parametrize(
    ("settings", "last", "kind"),
    [
        ({}, None, Embedded),
        ({"CLOUD": "localstack"}, None, LocalStack),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "CLOUD": "localstack"}, None, External),
        ({"AWS_ENDPOINT_URL": ENDPOINT}, None, External),
        ({"AWS_ENDPOINT_URL": ENDPOINT}, "embedded", Embedded),
        ({"AWS_ENDPOINT_URL": ENDPOINT}, "localstack", LocalStack),
        ({"AWS_ENDPOINT_URL": "http://localhost:4570/"}, "embedded", Embedded),
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
    monkeypatch.setattr(e2e, "is_order_service", lambda _: True)
    stack.env_file.write_text(render_env(OUTPUTS, ENDPOINT))
    env = stack.environment({})
    with pytest.raises(CommandError, match="Stop them first"), e2e.running_services(load_config(env), env, Progress()):
        pass


def test_a_service_that_cannot_start_ends_e2e_with_its_reason(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys; sys.exit(print('audit: its setting is wrong') or 2)"
    command = Command("audit", "audit", (sys.executable, "-c", program))
    monkeypatch.setattr(e2e, "service_commands", lambda _: [command])
    stack.env_file.write_text(render_env({**OUTPUTS, "api_url": None}, ENDPOINT))
    env = stack.environment({"PORT": str(free_port())})
    said = "audit: its setting is wrong .*'audit' ended with exit code 2"
    with pytest.raises(ConfigError, match=said), e2e.running_services(load_config(env), env, Progress()):
        pass


def test_terraform_applies_again_when_anything_of_it_changes(stack: Stack) -> None:
    package = for_lambda(stack.env_file.with_suffix(".zip"), "3.13", "arm64")
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


EXIST = """
Error: creating IAM Policy (shopflow-operator): operation error IAM: CreatePolicy, StatusCode: 409, EntityAlreadyExists: it exists.

  with aws_iam_policy.operator,
  on iam.tf line 71, in resource "aws_iam_policy" "operator":

Error: creating SQS Queue (shopflow-audit-dlq): AccessDenied: no

  with module.consumer["audit"].aws_sqs_queue.dlq,

Error: creating AWS DynamoDB Table (shopflow-events): operation error DynamoDB: ResourceInUseException: Table already exists

  with aws_dynamodb_table.this["events"],
"""  # noqa: E501


def test_what_an_earlier_call_made_is_imported_with_its_id(stack: Stack) -> None:
    stack.folder.mkdir()
    (stack.folder / "terraform.log").write_text(EXIST)
    assert terraform.existing(Module(stack, ENDPOINT)) == {
        "aws_iam_policy.operator": "arn:aws:iam::000000000000:policy/shopflow-operator",
        'aws_dynamodb_table.this["events"]': "shopflow-events",
    }


TERRAFORM = """
import signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit("the state is saved"))
print("a: Still creating...", flush=True)
signal.pause()
"""


def test_after_a_ctrl_c_terraform_saves_its_state(stack: Stack) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    module = Module(stack, ENDPOINT)
    module.folder.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        terraform.run(module, [sys.executable, "-c", TERRAFORM], interrupt)
    assert (stack.folder / "terraform.log").read_text().endswith("the state is saved\n")


KILLED = """
import os, signal, sys
from pathlib import Path
from scripts.console import QUIET
from scripts.infra import terraform
from scripts.infra.stack import Stack
stack = Stack("own", Path(sys.argv[1]), Path(sys.argv[1]) / "env", 4570, "shopflow-own")
slow = sys.argv[2].replace("sys.exit(", "__import__('time').sleep(1) or sys.exit(")
with stack.lock(QUIET):
    module = terraform.Module(stack, "http://127.0.0.1:4570")
    module.folder.mkdir(parents=True)
    terraform.run(module, [sys.executable, "-c", slow], lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_the_next_command_waits_until_a_terraform_whose_command_was_killed_has_saved_its_state(stack: Stack) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(stack.folder), TERRAFORM], cwd=ROOT, check=False)
    with stack.lock(QUIET):
        assert (stack.folder / "terraform.log").read_text().endswith("the state is saved\n")


def raising(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (CommandError("Something is wrong: " + "do this. " * 40), FAILED, "Something is wrong: " + "do this. " * 40),
        (ConfigError("X is not set."), MISUSED, "X is not set."),
        (
            Unavailable("no"),
            FAILED,
            "AWS does not answer as it should. 'make infra-up' starts a local one. (no)",
        ),
        (OSError(28, "No space left"), FAILED, "OSError: [Errno 28] No space left. DEBUG=1 shows where."),
        (KeyboardInterrupt(), INTERRUPTED, ""),
    ],
)
def test_an_expected_error_is_one_line_and_an_exit_code(
    error: BaseException, code: int, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda: raising(error)) == code
    assert capsys.readouterr().err.strip() == shown.strip()


def test_make_help_fits_a_screen() -> None:
    lines = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(lines) < 24
    assert [line for line in lines if len(line) > 80] == []


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in a folder that holds the Makefile alone."""
    (folder / "Makefile").write_text((ROOT / "Makefile").read_text())
    return subprocess.run(["make", "-s", *arguments], cwd=folder, capture_output=True, text=True)


def test_a_virtual_environment_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    """As on Debian without python3-venv."""
    broken, files = tmp_path / "broken-python", tmp_path / ".venv" / "bin"
    install(tmp_path, broken.name, f'case "$*" in *venv*) exit 1;; esac\nexec "{sys.executable}" "$@"')
    ran = make(tmp_path, f"PYTHON={broken}", ".venv/bin/python")
    assert ran.stderr.splitlines()[0].startswith(f"{broken} cannot make virtual environments: on Debian and Ubuntu")
    files.mkdir(parents=True)
    install(files, "python", "exit 1")
    for name in ("requirements.txt", "requirements/services.txt", "requirements/jwt.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    again = make(tmp_path, f"PYTHON={broken}", ".venv/.run")
    assert again.stdout == ".venv is half made, or of an old Python: making it again\n"
    assert not (tmp_path / ".venv").exists()


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
        ("PROD-9,,9.90,4", "something visible"),
        ("PROD-9,Lamp,9.90", "stock from 0"),
    ],
)
def test_a_file_with_a_wrong_product_is_refused_as_a_whole(tmp_path: Path, row: str, reason: str) -> None:
    file = tmp_path / "new.csv"
    file.write_text(f"productId,productName,price,stock\n{row}\n")
    with pytest.raises(CommandError, match=reason):
        read_products(file)
