"""Each test of this folder runs against both families of ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.worlds import AwsWorld, MemoryWorld, World
from tests.stack import applied_stack


@pytest.fixture(scope="package")
def aws_world() -> Iterator[AwsWorld]:
    with applied_stack() as applied:
        yield AwsWorld(applied.config)


@pytest.fixture(params=["memory", "aws"])
def world(request: pytest.FixtureRequest) -> World:
    world: World = MemoryWorld() if request.param == "memory" else request.getfixturevalue("aws_world")
    return world
