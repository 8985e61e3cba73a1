"""\"Try to break it\": the seven experiments and the faults on real processes, through the control socket."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.fraud.service import NAME
from scripts.console import new_console
from scripts.control import SOCKET
from scripts.demo import show_claim
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import inspect
from shopflow.aws.wiring import connect
from shopflow.config import load_config
from shopflow.control import ask
from tests.addresses import address, free_port
from tests.infra.test_run_all import run_all
from tests.sizes import full
from tests.stack import AppliedStack
from tests.waiting import eventually


@pytest.fixture(scope="module")
def control(stack: AppliedStack) -> Iterator[Path]:
    """The control socket of a running `run_all`."""
    with run_all(stack, {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}, **address(free_port())):
        path = stack.stack.folder / SOCKET
        eventually(lambda: _running(path) if path.exists() else [], lambda seen: len(seen) == 5)
        yield path


def _running(path: Path) -> list[str]:
    services: dict[str, Any] = ask(path, {"do": "state"})["services"]
    return [name for name, one in services.items() if one["state"] == "running"]


@pytest.mark.parametrize("number", [2, 4, *(pytest.param(one, marks=full) for one in (1, 3, 5, 6, 7))])
def test_each_claim_holds_and_the_shop_is_as_before(stack: AppliedStack, control: Path, number: int) -> None:
    aws = connect(stack.config, PATIENT)
    before = {one.product_id: one.stock for one in aws.products.all() if one.product_id.startswith("PROD-")}
    assert show_claim(control, number, new_console())
    state = ask(control, {"do": "state"})
    assert (state["claim"], state["faults"], len(_running(control))) == (None, [], 5)
    after = {one.product_id: one.stock for one in aws.products.all()}
    assert {**after, "DEMO-MUG": 0, "DEMO-LAST": 0} == {**before, "DEMO-MUG": 0, "DEMO-LAST": 0}
    assert inspect(stack.config).dead_letters == 0
    assert NAME not in load_config(stack.stack.environment({})).resources.queue_urls


def test_only_its_owner_can_use_the_socket(control: Path) -> None:
    assert stat.S_IMODE(control.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"do": "explode"}, "this is no request that the supervisor knows"),
        ("state", "this is no request that the supervisor knows"),
        ({"do": "kill", "service": "shipping"}, "there is no service shipping"),
        ({"do": "__init__", "service": "audit"}, "this is no request that the supervisor knows"),
        ({"do": "fault", "name": "fire"}, "there is no fault fire, only twice, hold, poison"),
        ({"do": "run", "claim": 8}, "there is no claim 8, only 1 to 7"),
    ],
)
def test_an_unknown_request_is_refused(control: Path, request_: Any, error: str) -> None:
    assert ask(control, request_) == {"error": error}


@full
def test_faults_of_messages_end_by_themselves_and_nothing_is_lost(stack: AppliedStack, control: Path) -> None:
    config = load_config(stack.env)
    for name in ("twice", "poison", "hold"):
        assert ask(control, {"do": "fault", "name": name}) == {"ok": True}
        assert "this is so already" in ask(control, {"do": "fault", "name": name})["error"]
    names = {one["name"] for one in ask(control, {"do": "state"})["faults"]}
    assert names == {"every event twice", "poison in payment", "topic held back"}
    eventually(lambda: ask(control, {"do": "state"})["faults"], lambda seen: not seen, 90)
    eventually(lambda: len(_running(control)), lambda seen: seen == 5)
    eventually(lambda: inspect(config).dead_letters, lambda seen: not seen)
