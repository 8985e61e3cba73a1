"""The services as processes on a local AWS of their own, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live import Live, running_services
from tests.stack import AppliedStack, applied_stack


@pytest.fixture(scope="package")
def stack() -> Iterator[AppliedStack]:
    with applied_stack() as applied:
        yield applied


@pytest.fixture(scope="package")
def live(stack: AppliedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with running_services(stack, tmp_path_factory.mktemp("logs"), scale={"inventory": 2}) as running:
        yield running
