"""Each test of this folder runs against both families of ports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.worlds import AwsWorld, MemoryWorld, World


@pytest.fixture(scope="module")
def aws_world(stack: Any) -> Iterator[AwsWorld]:
    world = AwsWorld(stack.config)
    yield world
    world.close()


@pytest.fixture(params=["memory", "aws"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world: World = MemoryWorld() if request.param == "memory" else request.getfixturevalue("aws_world")
    yield world
    world.take_away_spoiled()
