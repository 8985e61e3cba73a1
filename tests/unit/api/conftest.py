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
