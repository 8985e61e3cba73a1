"""When the relay looks at an open order."""

import itertools
import threading

import pytest

from shopflow.messaging.retry import Backoff
from shopflow.messaging.sweep import Sweep
from tests.system import System

MINUTE = 60_000
LOOKS = [30_000, *(minutes * MINUTE for minutes in (1, 2, 4, 8, 16, 32, 60, 120, 180, 240))]


def test_the_relay_looks_at_an_order_when_its_age_crosses_a_threshold_and_only_then() -> None:
    for start, step in ((0, 30_000), (7_000, 29_000)):
        sweeps = range(start, 250 * MINUTE, step)
        looks = [now for last, now in itertools.pairwise(sweeps) if Sweep(last, now).is_due(0)]
        assert len(looks) == len(LOOKS)
        assert all(0 <= now - at < step for now, at in zip(looks, LOOKS, strict=True))


@pytest.mark.parametrize(("age", "due"), [(29_999, False), (30_000, True), (7 * 24 * 60 * MINUTE, True)])
def test_a_relay_that_just_started_looks_at_every_order_of_thirty_seconds(age: int, due: bool) -> None:
    assert Sweep(None, 1000 + age).is_due(1000) is due


def test_backoff_grows_to_its_most_within_its_jitter() -> None:
    most = Backoff(2, 3, 50, rand=lambda: 1.0)
    least = Backoff(2, 3, 50, rand=lambda: 0.0)
    assert [most.delay(attempt) for attempt in (1, 2, 3, 4, 10_000)] == [2, 6, 18, 50, 50]
    assert [least.delay(attempt) for attempt in (1, 2, 3, 4)] == [1, 3, 9, 25]


class Waits(threading.Event):
    """A stop flag that records the seconds of each wait, and is set after ``most`` waits."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._most = most

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0)
        return len(self.seconds) > self._most


def test_while_no_order_is_open_the_relay_looks_half_as_often() -> None:
    system = System({"PROD-001": 5}, relay=False)
    stop = Waits(2)
    system.relay.run(stop, interval_seconds=30)
    assert stop.seconds == [30, 60, 60]
    system.place({"PROD-001": 1}, "pm_card_visa")
    stop = Waits(2)
    system.relay.run(stop, interval_seconds=30)
    assert stop.seconds == [30, 30, 30]
