"""Each service works under its own role, and uses every right that it has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from unittest import mock

import pytest

from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.clock import SystemClock
from shopflow.domain.order import Status
from shopflow.messaging.outbox import Publisher
from shopflow.messaging.relay import Relay
from shopflow.messaging.sweep import Sweep
from tests.iam import scenarios
from tests.iam.guarded import OPERATOR, RELAY, Guarded
from tests.iam.rights import Right, names
from tests.left_behind import committed
from tests.system import CATALOG, OUTBOX

ROLES = [*CATALOG.services, RELAY]
Used = Mapping[str, frozenset[Right]]


@pytest.fixture(scope="module")
def used(guard: Guarded) -> Used:
    """The rights used in the main job, in faults and in a redrive, by role."""
    ran = scenarios.end_to_end(guard)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    scenarios.a_killed_worker(guard)
    scenarios.poison(guard)
    scenarios.what_crashes_left(guard.live)
    scenarios.a_customer_with_an_address(guard.live)
    scenarios.somebody_watches(guard)
    scenarios.an_operator(guard)
    return guard.used()


@pytest.mark.parametrize("role", [*ROLES, OPERATOR])
def test_a_role_is_granted_what_it_uses_and_nothing_else(guard: Guarded, used: Used, role: str) -> None:
    granted = guard.granted(role)
    assert names(used[role] - granted) == [], "needed, but not granted"
    assert names(granted - used[role]) == [], "granted, but never used"


def test_the_relay_finishes_an_order_under_a_role_of_its_own(guard: Guarded) -> None:
    """The relay runs so where a schedule starts it."""
    with mock.patch.dict(os.environ, guard.credentials(RELAY)):
        aws = connect(guard.live.config, PATIENT)
    relay = Relay(aws.orders, aws.audit, Publisher(aws.topic), OUTBOX, SystemClock())
    order, _ = committed(guard.live, guard.live.product(stock=2))
    assert order.order_id in [entry.order_id for entry in aws.orders.open_orders()]
    relay.look_at(order.order_id, Sweep(None, SystemClock().now_ms()))
    assert guard.live.closed([order.order_id])[0].status is Status.COMPLETED
