"""The services under their own roles, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.iam.guarded import Guarded, guarded


@pytest.fixture(scope="package")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("iam")) as running:
        running.make_operator()
        yield running
