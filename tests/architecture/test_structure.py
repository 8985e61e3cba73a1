"""Imports point one way (docs/architecture.md)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "shopflow": {"shopflow"},
    "workers": {"shopflow", "workers"},
    "api": {"shopflow", "workers", "api"},
    "scripts": {"shopflow", "workers", "scripts"},
    "examples": {"shopflow", "workers", "examples"},
    "bench": {"shopflow", "workers", "api", "scripts", "bench"},
}
"""Which of our packages each one may import. Nobody imports the tests, and only the benchmarks need the benchmarks."""
BOTO = {"boto3", "botocore", "mypy_boto3_dynamodb", "mypy_boto3_ses", "mypy_boto3_sns", "mypy_boto3_sqs"}


def _files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f".{node.module}" if node.level else node.module or ""


def _top(module: str) -> str:
    return module.split(".")[0]


def _wrong(files: list[Path], allowed: set[str], known: set[str]) -> list[str]:
    """The imports in ``files`` of a top-level package that is in ``known`` and not in ``allowed``."""
    imports = [(path, module) for path in files for module in _imports(path)]
    return [f"{path.relative_to(ROOT)} imports {module}" for path, module in imports if _top(module) in known - allowed]


def test_a_package_imports_only_those_below_it() -> None:
    ours = {*MAY_IMPORT, "tests"}
    assert not [wrong for package, allowed in MAY_IMPORT.items() for wrong in _wrong(_files(package), allowed, ours)]


def test_no_import_is_relative() -> None:
    assert not [wrong for package in MAY_IMPORT for wrong in _wrong(_files(package), set(), {""})]


def test_the_domain_imports_the_standard_library_only() -> None:
    modules = {module for path in _files("shopflow/domain") for module in _imports(path)}
    assert not [m for m in modules if _top(m) not in sys.stdlib_module_names and not m.startswith("shopflow.domain")]


def test_only_the_aws_package_imports_boto3() -> None:
    files = [path for package in MAY_IMPORT if package != "bench" for path in _files(package)]
    assert not _wrong([path for path in files if "shopflow/aws" not in path.as_posix()], set(), BOTO)


def test_messaging_knows_ports_only() -> None:
    modules = {module for path in _files("shopflow/messaging") for module in _imports(path)}
    assert not [module for module in modules if module.startswith(("shopflow.aws", "shopflow.memory"))]


def test_a_service_reads_its_environment_in_one_place() -> None:
    files = [path for package in ("shopflow", "workers", "api", "examples") for path in _files(package)]
    nodes = [
        (path, node)
        for path in files
        if path != ROOT / "shopflow/environment.py"
        for node in ast.walk(ast.parse(path.read_text()))
    ]
    assert not [path for path, node in nodes if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")]
