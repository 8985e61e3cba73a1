"""COMPUTE=lambda: what `make infra-up` applies then, and what `make e2e` uses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scripts.console import CommandError
from scripts.e2e import require_no_processes
from scripts.infra.envfile import API_URL, render
from scripts.infra.lifecycle import wants_functions
from scripts.infra.stack import Stack
from scripts.infra.terraform import Module
from scripts.package import Package, on_lambda
from shopflow.errors import ConfigError
from tests.faults.lanes import free_port

ENDPOINT = "http://127.0.0.1:4570"
OUTPUTS = {
    "region": "us-east-1",
    "topic_arn": "arn:aws:sns:us-east-1:000000000000:shopflow-orders",
    "queue_urls": {},
    "dlq_urls": {},
    "orders_table": "o",
    "inventory_table": "i",
    "events_table": "e",
    "open_orders_index": "x",
}


@pytest.fixture
def module(tmp_path: Path) -> Module:
    package = Package(tmp_path / "lambda.zip", on_lambda("3.13", "arm64"))
    package.file.write_bytes(b"first")
    stack = Stack("dev", tmp_path, tmp_path / "env", 4570, "shopflow")
    return Module(stack, ENDPOINT, package=package)


@pytest.fixture
def order_service() -> Iterator[str]:
    """Something that answers where the Order Service would."""

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("settings", "wanted"), [({}, False), ({"COMPUTE": "none"}, False), ({"COMPUTE": "lambda"}, True)]
)
def test_services_are_functions_only_when_asked(settings: dict[str, str], wanted: bool) -> None:
    assert wants_functions(settings) is wanted


def test_another_compute_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="COMPUTE=mainframe must be lambda"):
        wants_functions({"COMPUTE": "mainframe"})


def test_terraform_is_told_of_the_package_and_what_it_runs_on(module: Module) -> None:
    assert module.package is not None
    assert (
        module.variables.items()
        >= {
            "compute": "lambda",
            "lambda_package": str(module.package.file),
            "lambda_runtime": "python3.13",
            "lambda_architecture": "arm64",
        }.items()
    )


def test_without_a_package_terraform_makes_no_function(module: Module) -> None:
    assert "compute" not in Module(module.stack, ENDPOINT).variables


def test_other_code_is_applied_again(module: Module) -> None:
    assert module.package is not None
    before = module.fingerprint()
    assert module.fingerprint() == before
    module.package.file.write_bytes(b"second")
    assert module.fingerprint() != before


def test_the_env_file_says_where_the_functions_answer_on_a_machine_without_their_names() -> None:
    made = OUTPUTS | {"api_url": "http://b4b6c270.execute-api.127.0.0.1:4566"}
    assert f"{API_URL}={ENDPOINT}/_aws/execute-api/b4b6c270/$default\n" in render(made, ENDPOINT)
    assert API_URL not in render(OUTPUTS | {"api_url": None}, ENDPOINT)


def test_processes_that_would_take_the_functions_messages_are_in_the_way(order_service: str) -> None:
    with pytest.raises(CommandError, match=f"runs at {order_service}.*Stop them first"):
        require_no_processes(order_service)
    require_no_processes(f"http://127.0.0.1:{free_port()}")
