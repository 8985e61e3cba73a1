"""A running Order Service for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.api.shop import Client, Shop, serving


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def client(shop: Shop) -> Iterator[Client]:
    with serving(shop) as server:
        yield Client(server)


@pytest.fixture(scope="module")
def short_flow() -> Iterator[None]:
    """The flow ends by itself soon, so that its answer can be read whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.streams.FlowStream.limit_ms", 20)
        patch.setattr("api.streams.WAIT_SECONDS", 0.02)
        yield
