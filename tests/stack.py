"""The local AWS of the tests. Terraform is applied once; each test process starts its own copy of the result."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.console import Progress
from scripts.infra.emulator import PROGRAM, Embedded
from scripts.infra.lifecycle import config_of, down, up
from scripts.infra.stack import ROOT, Stack, render_env, write_atomically
from scripts.infra.terraform import Module
from scripts.products import read_products
from shopflow.config import Config
from shopflow.environment import CREDENTIALS
from tests.addresses import free_port

FOLDER = ROOT / ".local" / "test"
NAME_PREFIX = "shopflow-test"


@dataclass(frozen=True, slots=True)
class AppliedStack:
    """``config`` is for code under test in this process, ``env`` the whole environment of a child process."""

    stack: Stack
    config: Config
    env: Mapping[str, str]


@contextmanager
def applied_stack(
    *, overlay: Path | None = None, emulator_env: Mapping[str, str] | None = None
) -> Iterator[AppliedStack]:
    """A new local AWS on a port of its own, as Terraform and the seed left it. It is killed at the end.

    ``overlay``: of the catalogue. ``emulator_env``: further variables for the emulator's process.
    """
    with ExitStack() as running:
        _use_local_aws_only(running.enter_context(pytest.MonkeyPatch.context()))
        copy = running.enter_context(_unused_copy())
        with _snapshot(overlay) as snapshot:
            _copy(snapshot, copy, overlay)
        emulator = Embedded(copy, emulator_env)
        emulator.start(Progress())
        running.callback(emulator.kill)
        yield AppliedStack(copy, config_of(copy), copy.environment(os.environ))


def prepare(stack: Stack) -> None:
    """Give a stopped, empty stack what Terraform and the seed made."""
    with pytest.MonkeyPatch.context() as environment:
        _use_local_aws_only(environment)
        with _snapshot() as snapshot:
            _copy(snapshot, stack)


@contextmanager
def _snapshot(overlay: Path | None = None) -> Iterator[Stack]:
    """A stopped stack that holds what Terraform and the seed made. Nobody changes it within the block.

    It is made again when the Terraform module, the catalogue, the products or the emulator have changed: that takes
    about a minute. With an overlay, Terraform adds to a copy of the snapshot without one.
    """
    stack = _stack("with-overlay" if overlay else "snapshot")
    with _lock(stack.folder.with_suffix(".lock")):
        version = _version(Module(stack, "", overlay))
        if stack.record().get("version") != version:
            _clear(stack)
            if overlay:
                with _snapshot() as base:
                    _copy(base, stack)
            up(stack, {"SHOPFLOW_CATALOG_OVERLAY": str(overlay)} if overlay else {}, Progress())
            down(stack, Progress())
            stack.remember(version=version)
        yield stack


def _version(module: Module) -> str:
    emulator = (importlib.metadata.version("ministack"), PROGRAM.read_bytes())
    facts = (module.fingerprint(), emulator, read_products())
    return hashlib.sha256(repr(facts).encode()).hexdigest()


@contextmanager
def _unused_copy() -> Iterator[Stack]:
    """An empty stack that no other process uses."""
    for number in itertools.count():
        stack = _stack(f"copy-{number}")
        with ExitStack() as used:
            try:
                used.enter_context(_lock(stack.folder.with_suffix(".lock"), fcntl.LOCK_NB))
            except BlockingIOError:
                continue
            _clear(stack)
            yield stack
            return


@contextmanager
def _lock(file: Path, flags: int = 0) -> Iterator[None]:
    """Let one process at a time into the block. With LOCK_NB, raises `BlockingIOError` instead of waiting."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | flags)
        yield


def _stack(name: str) -> Stack:
    folder = FOLDER / name
    return Stack(name, folder, folder / "env", free_port(), NAME_PREFIX)


def _clear(stack: Stack) -> None:
    """End the emulator that a killed session left, and remove all there is of the stack."""
    Embedded(stack).kill()
    shutil.rmtree(stack.folder, ignore_errors=True)


def _copy(source: Stack, target: Stack, overlay: Path | None = None) -> None:
    """Let ``target`` have the resources and the data of ``source``, which must be stopped."""
    shutil.copytree(source.folder / "emulator" / "saves", target.folder / "emulator" / "saves")
    shutil.copy(source.folder / "terraform.tfstate", target.folder)
    providers = Path("terraform-data", "providers")
    shutil.copytree(source.folder / providers, target.folder / providers, symlinks=True, copy_function=os.link)
    outputs = source.record()["outputs"]
    fingerprint = Module(target, target.own_endpoint, overlay).fingerprint()
    facts = {"port": target.port, "cloud": Embedded.kind, "endpoint": target.own_endpoint}
    target.remember(**facts, outputs=outputs, fingerprint=fingerprint)
    write_atomically(target.env_file, render_env(outputs, target.own_endpoint))


def end_left_emulators() -> None:
    """Kill the emulators that killed sessions left."""
    for file in FOLDER.glob("*.lock"):
        with suppress(BlockingIOError), _lock(file, fcntl.LOCK_NB):
            Embedded(_stack(file.stem)).kill()


def _use_local_aws_only(environment: pytest.MonkeyPatch) -> None:
    """No profile and no real credentials reach boto3 in this process."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        environment.delenv(name)
    for name, value in CREDENTIALS.items():
        environment.setenv(name, value)


if __name__ == "__main__":
    end_left_emulators()
