"""Five services as real processes on the applied stack, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.services import LogFiles, Services, service_commands
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import load_catalog
from shopflow.config import load_config
from tests.faults.lanes import answers, free_port
from tests.live import Live, eventually, sqs_client

QUICK = {
    "HOST": "127.0.0.1",
    "PAYMENT_LATENCY_MIN_MS": "5",
    "PAYMENT_LATENCY_MAX_MS": "20",
    "RELAY_INTERVAL_SECONDS": "1",
    "SQS_WAIT_SECONDS": "1",
    "SQS_VISIBILITY_SECONDS": "5",
    "LOG_FORMAT": "json",
}
"""So that what a killed worker had received comes again in 5 s, not in 60."""


@pytest.fixture(scope="session")
def live(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    env = stack.env | QUICK | {"PORT": str(free_port())}
    config = load_config(env)
    commands = service_commands(load_catalog(), {"inventory": 2})
    logs = LogFiles(_logs(tmp_path_factory))
    with Services(commands, env, logs) as services:
        services.start()
        running = Live(config, connect(config, PATIENT), services, sqs_client(config))
        eventually(lambda: answers(running.url), bool)
        yield running


def _logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service-logs")
