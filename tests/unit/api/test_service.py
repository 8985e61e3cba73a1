"""The process: ``python -m api``."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from tests.unit.api.shop import SAMPLE, ask

NOTHING_LISTENS = "http://127.0.0.1:1"
ENVIRONMENT = {
    "SHOPFLOW_ENV_FILE": os.devnull,
    "AWS_ENDPOINT_URL": NOTHING_LISTENS,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "SHOPFLOW_TOPIC_ARN": "arn:aws:sns:us-east-1:000000000000:orders",
    "SHOPFLOW_ORDERS_TABLE": "orders",
    "SHOPFLOW_INVENTORY_TABLE": "inventory",
    "SHOPFLOW_EVENTS_TABLE": "events",
    "SHOPFLOW_OPEN_ORDERS_INDEX": "open-orders",
    "LOG_FORMAT": "json",
    "PORT": "0",
}


@contextmanager
def service(**settings: str) -> Iterator[tuple[subprocess.Popen[str], HTTPConnection]]:
    """The running process, and a connection to it."""
    command = [sys.executable, "-m", "api"]
    environment = {**os.environ, **ENVIRONMENT, **settings}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            message = json.loads(process.stdout.readline())["message"]
            assert message.startswith("listening on http://127.0.0.1:")
            connection = HTTPConnection("127.0.0.1", int(message.rpartition(":")[2]), timeout=30)
            yield process, connection
            connection.close()
        finally:
            process.kill()


def error_of(settings: Mapping[str, str]) -> str:
    """What it writes when it cannot start."""
    environment = {**os.environ, **ENVIRONMENT, **settings}
    command = [sys.executable, "-m", "api"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    return ended.stderr


def test_without_aws_it_answers_503_and_a_signal_ends_it_with_exit_code_0() -> None:
    with service() as (process, connection):
        assert ask(connection, "GET", "/health").status == 200
        answer = ask(connection, "POST", "/orders", SAMPLE)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert NOTHING_LISTENS not in answer.text
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0
    assert json.loads(output.splitlines()[-1])["message"] == "stopped"


def test_a_taken_port_is_one_line_that_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = error_of({"PORT": str(port)})
    assert error.startswith(f"order: 127.0.0.1:{port} is taken by process {os.getpid()} (")
    assert error.endswith("). Stop that, or set PORT to another.\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"SHOPFLOW_TOPIC_ARN": ""}, "make infra-up"),
        ({"PORT": "http"}, "PORT=http"),
        ({"HOST": "nowhere.invalid"}, "HOST"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(settings: dict[str, str], advice: str) -> None:
    [line] = error_of(settings).splitlines()
    assert advice in line
