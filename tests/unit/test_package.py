"""The zip that Lambda runs the services from."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from scripts import package
from scripts.console import Progress
from scripts.package import AWS_SERVICES, LOCK, for_lambda, make_package
from shopflow.catalog import load_catalog

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([a-z0-9-]+)==([^ ;\\\n]+)", re.MULTILINE)


def pins(file: Path) -> dict[str, str]:
    return dict(PIN.findall(file.read_text()))


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")


@pytest.fixture
def dependencies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder instead of the packages that pip would install."""
    folder = tmp_path / "dependencies"
    folder.mkdir()
    monkeypatch.setattr(package, "_dependencies", lambda *_: folder)
    return folder


def made(tmp_path: Path, overlay: Path | None = None) -> zipfile.ZipFile:
    file = tmp_path / "some" / "lambda.zip"
    make_package(for_lambda(file), Progress(), overlay)
    return zipfile.ZipFile(file)


def packed_names(tmp_path: Path, overlay: Path | None = None) -> set[str]:
    with made(tmp_path, overlay) as archive:
        return set(archive.namelist())


def test_it_has_the_services_and_nothing_that_they_do_not_need(tmp_path: Path, dependencies: Path) -> None:
    kept = ["thing/__init__.py", "thing-1.dist-info/METADATA", "botocore/data/endpoints.json"]
    kept += [f"botocore/data/{service}/2010/service-2.json" for service in AWS_SERVICES]
    left_out = ["bin/thing", "thing/__pycache__/x.pyc", "thing-1.dist-info/RECORD", "thing-1.dist-info/INSTALLER"]
    left_out += ["botocore/data/ec2/2016/service-2.json", "botocore/data/sqsx/2016/service-2.json", ".lock"]
    write(dependencies, *kept, *left_out)
    names = packed_names(tmp_path)
    ours = {"schemas/catalog.json", "schemas/events/order.created.schema.json", "api/static/index.html"}
    assert {*kept, *ours} <= names
    assert {name.split("/")[0] for name in names} - {"thing", "thing-1.dist-info", "botocore"} == {*package.CODE}
    assert not [name for name in names if name in left_out or "examples" in name or "__pycache__" in name]


def test_an_overlay_is_packed_with_its_schemas(tmp_path: Path, dependencies: Path) -> None:
    write(tmp_path, "fraud/catalog.json", "fraud/schemas/events/fraud.flagged.schema.json", "fraud/worker.py")
    names = packed_names(tmp_path, tmp_path / "fraud" / "catalog.json")
    overlay = {name for name in names if name.startswith("overlay/")}
    assert overlay == {"overlay/catalog.json", "overlay/schemas/events/fraud.flagged.schema.json"}


def test_the_package_has_the_description_of_every_aws_service_that_is_called() -> None:
    called = {
        node.args[0].value
        for file in (ROOT / "shopflow").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "client"
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    assert called == {*AWS_SERVICES}


def test_the_lock_has_the_versions_that_are_tested_here() -> None:
    locked, services = pins(LOCK), pins(ROOT / "requirements/services.txt")
    assert services.items() <= locked.items()
    assert {name: distribution(name).version for name in services} == services


def checks() -> dict[str, str]:
    """The events that a new version has to answer before Terraform lets it live, by the handler's folder."""
    events = re.findall(r"check_event += jsonencode\((.+)\)", (ROOT / "terraform" / "compute.tf").read_text())
    worker, api = (re.sub(r"(\w+) =", r'"\1":', event) for event in events)
    return {"workers": worker, "api": api}


def test_the_package_answers_terraforms_checks_and_needs_nothing_that_is_not_in_it(
    tmp_path: Path, dependencies: Path
) -> None:
    """Runs with the packages installed here, without AWS, and nothing else can be imported."""
    for name in pins(LOCK):
        for file in distribution(name).files or ():
            if not package._LEFT_OUT.match(str(file)) and ".." not in file.parts:
                (dependencies / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), dependencies / file)
    task = tmp_path / "task"
    with made(tmp_path) as archive:
        archive.extractall(task)
    names = [service.name for service in load_catalog().consumers]
    program = f"""
import sys
sys.path.insert(0, {str(task)!r})
from api import lambda_handler as api
from workers import lambda_handler as workers
answers = [getattr(workers, name)({checks()["workers"]}, None) for name in {names}]
assert answers == [{{"batchItemFailures": []}}] * {len(names)}, answers
print(api.http({checks()["api"]}, None)["statusCode"])
"""
    resources = ("TOPIC_ARN", "ORDERS_TABLE", "INVENTORY_TABLE", "EVENTS_TABLE", "OPEN_ORDERS_INDEX")
    queues = [f"{name.upper()}_QUEUE_URL" for name in names]
    env = {f"SHOPFLOW_{name}": "x" for name in (*resources, *queues)} | {"AWS_REGION": "eu-west-1"}
    env |= {"PAYMENT_GATEWAY": "simulated", "MAIL_FROM": "orders@shop.example"}
    env |= {"JWT_ISSUER": "https://customers.example", "JWT_AUDIENCE": "shop"}
    command = [sys.executable, "-I", "-S", "-c", program]
    answer = subprocess.run(command, cwd=task, env=env, capture_output=True, text=True)
    assert (answer.stdout.splitlines()[-1:], answer.returncode) == (["200"], 0), answer.stderr
    wrong = env | {"LOG_FORMAT": "loud"}
    answer = subprocess.run(command, cwd=task, env=wrong, capture_output=True, text=True)
    assert "ConfigError: LOG_FORMAT=loud" in answer.stderr, "a wrong setting fails the check"
