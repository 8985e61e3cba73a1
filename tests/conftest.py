"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from scripts.console import Progress
from tests.stack import AppliedStack, applied_stack

TOGETHER = {
    "tests/conformance/": "stack",
    "tests/infra/": "stack",
    "tests/integration/": "stack",
    "tests/browser/": "browser",
    "tests/iam/": "stack",
    "tests/fraud/": "fraud",
}
"""Which tests share a stack."""


class StackTogether(LoadScopeScheduling):  # type: ignore[misc]
    """Tests on one stack run in one process, one after another. The others are dealt out."""

    def _split_scope(self, nodeid: str) -> str:
        return next((scope for folder, scope in TOGETHER.items() if nodeid.startswith(folder)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> StackTogether:
    """Called by pytest-xdist when tests run in several processes (``-n``)."""
    return StackTogether(config, log)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[AppliedStack]:
    """The applied stack, brought up when the first test asks for it."""
    with brought_up(request) as applied:
        yield applied


@contextmanager
def brought_up(request: pytest.FixtureRequest, kind: str = "") -> Iterator[AppliedStack]:
    """`applied_stack`, its progress shown, since it takes a while."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with ExitStack() as session:
        with capture.global_and_fixture_disabled():
            print()  # noqa: T201
            applied = session.enter_context(applied_stack(Progress(), kind))
        yield applied
