"""The stack that all tests of a session share: an embedded local AWS with Terraform's resources in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from scripts.console import Progress
from scripts.infra.emulator import Embedded
from scripts.infra.lifecycle import down, up
from scripts.infra.stack import CREDENTIALS, Stack, stack_for_tests
from shopflow.config import Config


@dataclass(frozen=True, slots=True)
class AppliedStack:
    """``config`` is for code under test in this process, ``env`` the whole environment of a child process."""

    stack: Stack
    config: Config
    env: Mapping[str, str]


@contextmanager
def applied_stack(progress: Progress, kind: str = "") -> Iterator[AppliedStack]:
    """The stack as Terraform and the seed left it: nothing that a session does to it outlives the session.

    Each ``kind`` of tests has a stack of its own, so that they can run beside the others.

    The emulator of such a stack saves its state when it is stopped and at no other time. So it is stopped once, right
    after it was brought up, and killed at the end. SHOPFLOW_TEST_STACK names another stack, for two sessions at the
    same time.
    """
    stack = stack_for_tests((os.environ.get("SHOPFLOW_TEST_STACK") or "test") + (f"-{kind}" if kind else ""))
    emulator = Embedded(stack)
    with stack.lock(progress, "test session"), pytest.MonkeyPatch.context() as environment:
        _use_local_aws_only(environment)
        emulator.kill()
        up(stack, {}, progress)
        down(stack, progress)
        config = up(stack, {}, progress)
        try:
            yield AppliedStack(stack, config, stack.environment(os.environ))
        finally:
            emulator.kill()


def _use_local_aws_only(environment: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        environment.delenv(name)
    for name, value in CREDENTIALS.items():
        environment.setenv(name, value)
