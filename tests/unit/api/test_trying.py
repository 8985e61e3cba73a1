"""The paths under /try: who may ask, where they are off, and that they pass on what the supervisor says."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.api.contract import check_value
from tests.unit.api.shop import AS_OPERATOR, Client, Shop, serving

STATE: dict[str, Any] = {"services": {"audit": {"pids": [7], "state": "running"}}, "faults": [], "claim": None}
WHOLE = {**STATE, "claims": [], "invariants": []}
STEP = {"type": "step", "claim": 2, "text": "We kill it.", "at": 1}
READS = ["/try", "/try/state", "/try/stream"]
CHANGES = {
    "/try/claims/2": {"do": "run", "claim": 2},
    "/try/services/payment/kill": {"do": "kill", "service": "payment"},
    "/try/services/payment/freeze": {"do": "freeze", "service": "payment"},
    "/try/services/payment/restart": {"do": "restart", "service": "payment"},
    "/try/faults/hold": {"do": "fault", "name": "hold"},
}


class Supervisor(socketserver.ThreadingUnixStreamServer):
    """Remembers what it is asked, and answers ``answer``."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.asked: list[Any] = []
        self.answer: Any = {"ok": True}
        supervisor = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                request = json.loads(self.rfile.readline())
                supervisor.asked.append(request)
                answers = {"state": WHOLE, "watch": STEP}
                self.wfile.write(json.dumps(answers.get(request["do"], supervisor.answer)).encode() + b"\n")

        super().__init__(str(path), Handler)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / "control.sock") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def client(supervisor: Supervisor) -> Iterator[Client]:
    with serving(Shop(control=Path(str(supervisor.server_address)))) as server:
        yield Client(server)


def test_only_the_operator_may_ask_and_no_page_of_another_site(client: Client, supervisor: Supervisor) -> None:
    for path in READS:
        assert client.get(path).status == 401
    for path in CHANGES:
        assert client.ask("POST", path).status == 401
        assert client.ask("POST", path, None, {**AS_OPERATOR, "Sec-Fetch-Site": "cross-site"}).status == 403
        assert client.get(path, AS_OPERATOR).status == 405
    assert supervisor.asked == []


def test_each_request_is_passed_on_and_its_refusal_is_answered(client: Client, supervisor: Supervisor) -> None:
    for path in CHANGES:
        assert client.ask("POST", path, None, AS_OPERATOR).status == 202
    assert supervisor.asked == list(CHANGES.values())
    for error, status in (("claim 3 is running", 409), ("there is no service payment", 404)):
        supervisor.answer = {"error": error}
        answer = client.ask("POST", "/try/services/payment/kill", None, AS_OPERATOR)
        assert (answer.status, answer.error) == (status, error)


def test_the_state_and_the_stream_are_the_supervisors(client: Client, supervisor: Supervisor) -> None:
    state = client.get("/try/state", AS_OPERATOR).json
    assert state == WHOLE
    check_value("tryState", state)
    line = client.get("/try/stream?since=1764000000000", AS_OPERATOR).text
    assert json.loads(line.removeprefix("data: ")) == STEP
    check_value("tryMessage", STEP)
    assert supervisor.asked[-1] == {"do": "watch", "since": 1764000000000}


def test_without_a_supervisor_there_is_nothing_to_try(tmp_path: Path) -> None:
    for control in (None, tmp_path / "no.sock"):
        with serving(Shop(control=control)) as server:
            answers = [Client(server).get(path, AS_OPERATOR) for path in READS]
            answers += [Client(server).ask("POST", path, None, AS_OPERATOR) for path in CHANGES]
            assert {answer.status for answer in answers} == {404}
