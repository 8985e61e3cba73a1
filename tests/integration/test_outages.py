"""A dependency that goes away for a few seconds under load: the short version of `make outages`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.outages import OUTAGES, QUICK, Shop, shop, suffer
from tests.sizes import full
from tests.stack import AppliedStack

OUTAGE_SECONDS = 4


@pytest.fixture(scope="module")
def open_shop(stack: AppliedStack) -> Iterator[Shop]:
    with shop(stack, QUICK) as opened:
        yield opened


@full
@pytest.mark.parametrize("outage", OUTAGES)
def test_no_order_is_lost_doubled_or_late_when_a_dependency_goes_away_and_comes_back(
    open_shop: Shop, outage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = suffer(open_shop, outage, OUTAGE_SECONDS)
    assert result.missed == []
    assert len(result.load.order_ids) > 0
    with capsys.disabled():
        seconds, bound = f"{result.finished_seconds:.1f}", f"{result.bound_seconds:.1f}"
        print(f"\n  {outage}: {len(result.load.order_ids)} orders, done after {seconds} of {bound} s", end=" ")  # noqa: T201
