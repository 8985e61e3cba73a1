"""A service's process whose dependencies fail on demand: `python -m tests.faults.outage_process MODULE …`.

Runs ``python -m MODULE …`` unchanged. In the folder OUTAGE_FOLDER, as long as there is a file

    gateway-down   the payment gateway is unavailable
    topic-fails    every second PublishBatch fails: in turn its entries are refused, it is not sent, its answer is lost

Each call of either, while it is down, adds a line to `gateway-down.log` or `topic-fails.log`: what became of it.
"""

from __future__ import annotations

import itertools
import os
import re
import runpy
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from shopflow.errors import Unavailable
from shopflow.ports import Charge, Decline
from tests.faults.crash_process import set_clock_back
from workers.gateway import SimulatedGateway

GATEWAY_DOWN, TOPIC_FAILS = "gateway-down", "topic-fails"
REFUSED, NOT_SENT, ANSWER_LOST, DONE = "refused", "not sent", "answer lost", "done"
TURNS = (REFUSED, DONE, NOT_SENT, DONE, ANSWER_LOST, DONE)
_ENTRY_ID = re.compile(r"PublishBatchRequestEntries\.member\.\d+\.Id")


def main() -> None:
    _, module, *arguments = sys.argv
    folder = Path(os.environ["OUTAGE_FOLDER"])
    take_gateway_down(folder)
    have_topic_fail(folder)
    set_clock_back(int(os.environ.get("CRASH_CLOCK_BEHIND_MS", "0")))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def take_gateway_down(folder: Path) -> None:
    original = SimulatedGateway.charge

    def charge(self: SimulatedGateway, key: str, amount: Decimal, payment_method: str | None) -> Charge | Decline:
        if (folder / GATEWAY_DOWN).exists():
            _note(folder, GATEWAY_DOWN, NOT_SENT)
            raise Unavailable("the payment gateway does not answer")
        return original(self, key, amount, payment_method)

    SimulatedGateway.charge = charge  # type: ignore[assignment, method-assign]


def have_topic_fail(folder: Path) -> None:
    """Every session that is made from now on has every second PublishBatch fail, while it shall."""
    original, turns = botocore.session.get_session, itertools.cycle(TURNS)

    def before(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> tuple[AWSResponse, Any] | None:
        turn = next(turns) if (folder / TOPIC_FAILS).exists() else DONE
        if (folder / TOPIC_FAILS).exists():
            _note(folder, TOPIC_FAILS, turn)
        context["outage"] = turn
        if turn == NOT_SENT:
            raise EndpointConnectionError(endpoint_url=params["url"])
        return _refusal(params) if turn == REFUSED else None

    def after(context: Mapping[str, Any], **_: Any) -> None:
        if context.get("outage") == ANSWER_LOST:
            raise ConnectionClosedError(endpoint_url="SNS")

    def hooked_session(env_vars: Any = None) -> botocore.session.Session:
        session = original(env_vars)
        session.register("before-call.sns.PublishBatch", before)  # type: ignore[arg-type]
        session.register("after-call.sns.PublishBatch", after)  # type: ignore[arg-type]
        return session

    botocore.session.get_session = hooked_session


def _refusal(params: Mapping[str, Any]) -> tuple[AWSResponse, Any]:
    ids = [value for name, value in params["body"].items() if _ENTRY_ID.fullmatch(name)]
    failed = [{"Id": entry_id, "Code": "InternalError", "SenderFault": False} for entry_id in ids]
    return AWSResponse(params["url"], 200, HTTPHeaders(), None), {"Successful": [], "Failed": failed}


def _note(folder: Path, outage: str, what: str) -> None:
    with (folder / f"{outage}.log").open("a") as log:
        log.write(f"{what}\n")


if __name__ == "__main__":
    main()
