"""Imports point one way."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("shopflow", "api", "workers", "scripts", "examples")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
SERVICE_FILES = [path for path in FILES if path.relative_to(ROOT).parts[0] != "scripts"]

FORBIDDEN = {
    "shopflow": {"api", "workers", "scripts", "examples", "tests"},
    "workers": {"api", "scripts", "examples", "tests"},
    "api": {"scripts", "examples", "tests"},
    "scripts": {"api", "examples", "tests"},
    "examples": {"api", "scripts", "tests"},
}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def _top(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    assert not {_top(module) for module in _imports(path)} & FORBIDDEN[package]


@pytest.mark.parametrize("path", sorted((ROOT / "shopflow/domain").glob("*.py")), ids=_name)
def test_the_domain_imports_the_standard_library_only(path: Path) -> None:
    others = [module for module in _imports(path) if _top(module) not in sys.stdlib_module_names]
    assert all(module.startswith("shopflow.domain") for module in others)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_only_the_aws_package_and_the_benchmarks_yardsticks_import_boto3(path: Path) -> None:
    boto = {"boto3", "botocore", "mypy_boto3_dynamodb", "mypy_boto3_sns", "mypy_boto3_sqs"}
    if not _name(path).startswith(("shopflow/aws/", "scripts/bench/")):
        assert not {_top(module) for module in _imports(path)} & boto


@pytest.mark.parametrize("path", sorted((ROOT / "shopflow/messaging").glob("*.py")), ids=_name)
def test_messaging_knows_ports_only(path: Path) -> None:
    assert not [module for module in _imports(path) if module.startswith(("shopflow.aws", "shopflow.memory"))]


@pytest.mark.parametrize("path", SERVICE_FILES, ids=_name)
def test_a_service_reads_its_environment_in_one_place(path: Path) -> None:
    if _name(path) != "shopflow/config.py":
        names = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
        assert not [node for node in names if node.attr in ("environ", "getenv")]
