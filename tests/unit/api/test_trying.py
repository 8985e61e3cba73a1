"""The paths under /try pass on what the operator asks of the supervisor, and what it says."""

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

STATE: dict[str, Any] = {
    "services": {"audit": {"pids": [7], "state": "running"}},
    **{"faults": [], "claim": None, "claims": [], "invariants": []},
}
STEP = {"type": "step", "claim": 2, "text": "We kill it.", "at": 1}
CHANGES = {
    "/try/claims/2": {"do": "run", "claim": 2},
    **{f"/try/services/payment/{do}": {"do": do, "service": "payment"} for do in ("kill", "freeze", "restart")},
    "/try/faults/hold": {"do": "fault", "name": "hold"},
}


class Supervisor(socketserver.ThreadingUnixStreamServer):
    """Remembers what it is asked, and answers ``answer``."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.asked: list[Any] = []
        self.answer: Any = {"ok": True}
        super().__init__(str(path), socketserver.BaseRequestHandler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        asked = json.loads(request.recv(1000))
        self.asked.append(asked)
        answer = {"state": STATE, "watch": STEP}.get(asked["do"], self.answer)
        request.sendall(json.dumps(answer).encode() + b"\n")


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


def test_each_request_is_passed_on_and_its_refusal_is_answered(client: Client, supervisor: Supervisor) -> None:
    assert {client.ask("POST", path, None, AS_OPERATOR).status for path in CHANGES} == {202}
    assert supervisor.asked == list(CHANGES.values())
    for error, status in (("claim 3 is running", 409), ("there is no service payment", 404)):
        supervisor.answer = {"error": error}
        answer = client.ask("POST", "/try/services/payment/kill", None, AS_OPERATOR)
        assert (answer.status, answer.error) == (status, error)


def test_the_state_and_the_stream_are_the_supervisors(client: Client, supervisor: Supervisor) -> None:
    state = client.get("/try/state", AS_OPERATOR).json
    assert state == STATE
    check_value("tryState", state)
    line = client.get("/try/stream?since=1764000000000", AS_OPERATOR).text
    assert json.loads(line.removeprefix("data: ")) == STEP
    check_value("tryMessage", STEP)
    assert supervisor.asked[-1] == {"do": "watch", "since": 1764000000000}


def test_without_a_supervisor_there_is_nothing_to_try(tmp_path: Path) -> None:
    for control in (None, tmp_path / "no.sock"):
        with serving(Shop(control=control)) as server:
            reads = [Client(server).get(path, AS_OPERATOR) for path in ("/try", "/try/state", "/try/stream")]
            changes = [Client(server).ask("POST", path, None, AS_OPERATOR) for path in CHANGES]
            assert {answer.status for answer in (*reads, *changes)} == {404}
