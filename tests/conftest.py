"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from scripts.console import Progress
from tests.stack import AppliedStack, applied_stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests on the stack run in one process, one after another, since they share it. The others are dealt out."""
    for item in items:
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if "stack" in getattr(item, "fixturenames", ()) or parameters.get("world") == "aws":
            item.add_marker(pytest.mark.xdist_group("stack"))


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[AppliedStack]:
    """The applied stack, brought up when the first test asks for it; its progress is shown, since it takes a while."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with ExitStack() as session:
        with capture.global_and_fixture_disabled():
            print()  # noqa: T201
            applied = session.enter_context(applied_stack(Progress()))
        yield applied
