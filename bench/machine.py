"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from bench.processes import Cores
from scripts.infra.stack import ROOT

PACKAGES = ("boto3", "botocore", "jsonschema", "ministack", "simplejson", "celery", "sqs-workers")


def machine(cores: Cores) -> dict[str, object]:
    """Facts for the record: cores, Python, versions of what takes part."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_name(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "emulator_on_core": sorted(cores.emulator),
        "all_else_on_core": sorted(cores.rest),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def commit() -> str:
    """The commit that is checked out, with a + when files differ from it."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return f"{name}+" if _git("status", "--porcelain", "--untracked-files=no") else name
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
