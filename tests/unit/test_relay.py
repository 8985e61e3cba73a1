"""When the relay looks at an open order."""

import itertools
import threading

import pytest

from shopflow.messaging.relay import is_due
from shopflow.messaging.retry import Backoff
from tests.system import System

MINUTE = 60_000
LOOKS = [30_000, *(minutes * MINUTE for minutes in (1, 2, 4, 8, 16, 32, 60, 120, 180, 240))]


def test_the_relay_looks_at_an_order_when_its_age_crosses_a_threshold_and_only_then() -> None:
    sweeps = range(0, 250 * MINUTE, 30_000)
    looks = [now for last, now in itertools.pairwise(sweeps) if is_due(0, last, now)]
    assert looks == LOOKS


def test_sweeps_that_fall_between_the_thresholds_miss_none() -> None:
    sweeps = range(7_000, 250 * MINUTE, 29_000)
    assert sum(is_due(0, last, now) for last, now in itertools.pairwise(sweeps)) == len(LOOKS)


@pytest.mark.parametrize(("age", "due"), [(29_999, False), (30_000, True), (7 * 24 * 60 * MINUTE, True)])
def test_a_relay_that_just_started_looks_at_every_order_of_thirty_seconds(age: int, due: bool) -> None:
    assert is_due(1000, None, 1000 + age) is due


def test_thresholds_crossed_while_no_sweep_ran_are_one_look() -> None:
    assert is_due(0, 20_000, 90 * MINUTE)
    assert not is_due(0, 61 * MINUTE, 119 * MINUTE)


def test_an_order_of_a_clock_that_is_ahead_is_not_due() -> None:
    assert not is_due(10_000, 0, 5_000)


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
