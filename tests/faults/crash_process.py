"""A process that dies at a given call: `python -m tests.faults.crash_process LABEL MODULE …`.

Runs ``python -m MODULE …`` unchanged, with a hook around each call that it makes to the outside: to AWS (botocore's
`before-send`), to the payment gateway and to the mailer. Nothing here knows which calls there are. The calls of each
role (a kind of thread) are numbered. A poll that brings nothing new is not counted, so every run of a scenario numbers
its calls in the same way.

The process and the crash matrix communicate through files in CRASH_FOLDER:

    plan.json      written by the matrix: the number of the run, and the call at which a process dies, if any
    fired          written by the process that dies there, with its id
    RUN.jsonl      the journal of run number RUN: all processes append a line for each counted call
"""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from http.client import OK
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.httpsession import URLLib3Session
from urllib3 import HTTPResponse

from shopflow.messaging import sweep
from shopflow.ports import Charge, Decline, Mail
from workers.gateway import SimulatedGateway
from workers.notification import OrderMailer

BEFORE, AFTER = "before", "after"
RELAY = "relay"
_ENTRY_ID = re.compile(r"PublishBatchRequestEntries\.member\.\d+\.Id")
_EVENT_TYPE = re.compile(r"PublishBatchRequestEntries\.member\.\d+\.MessageAttributes\.entry\.1\.Value\.StringValue")
_REFUSAL = b"<ErrorResponse><Error><Code>AuthorizationError</Code><Message>refused</Message></Error></ErrorResponse>"
Facts = dict[str, Any]
T = TypeVar("T")


@dataclass(slots=True)
class _Role:
    """The last call of the threads of one role, and how many they have made in this run."""

    request: str = ""
    answer: str = ""
    count: int = 0

    def number_of(self, request: str) -> int:
        """The number of a call. A repeated poll keeps its number, whenever it brings something new."""
        return max(1, self.count + (request != self.request))


@dataclass(slots=True)
class Hook:
    """Runs around each call of this process."""

    label: str
    folder: Path
    roles: dict[str, _Role] = field(default_factory=dict)
    run: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def around(self, name: str, request: str, call: Callable[[], T], facts: Callable[[T], Facts] = lambda _: {}) -> T:
        """Make the call ``name`` and count it. Dies before or after it, if that is planned.

        ``facts(answer)`` go into the journal with it.
        """
        role_name = re.sub(r"[-_]\d+.*$", "", threading.current_thread().name)
        with self.lock:
            role = self._role(role_name)
            self._die_if_planned(role_name, role.number_of(request), BEFORE)
        answer = call()
        with self.lock:
            role = self._role(role_name)
            fingerprint = _fingerprint(answer)
            if (role.request, role.answer) == (request, fingerprint):
                return answer
            role.count = role.number_of(request)
            role.request, role.answer = request, fingerprint
            self._note({"role": role_name, "number": role.count, "call": name, **facts(answer)})
            self._die_if_planned(role_name, role.count, AFTER)
        return answer

    def refuses(self, event_types: set[str]) -> bool:
        """Whether the topic must refuse such an event, as it does to everybody but the relay."""
        return self._plan().get("refuse") in event_types and threading.current_thread().name != RELAY

    def _role(self, name: str) -> _Role:
        if (run := self._plan().get("run", 0)) != self.run:
            self.run = run
            for role in self.roles.values():
                role.count = 0
        return self.roles.setdefault(name, _Role())

    def _die_if_planned(self, role: str, number: int, when: str) -> None:
        if self._plan().get("die") != [self.label, role, number, when]:
            return
        with suppress(FileExistsError):
            with (self.folder / "fired").open("x") as fired:
                fired.write(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)

    def _plan(self) -> dict[str, Any]:
        try:
            plan: dict[str, Any] = json.loads((self.folder / "plan.json").read_text())
        except FileNotFoundError:
            return {}
        return plan

    def _note(self, line: dict[str, Any]) -> None:
        with (self.folder / f"{self.run}.jsonl").open("a") as journal:
            journal.write(json.dumps({"label": self.label, "pid": os.getpid(), **line}) + "\n")


def main() -> None:
    sweep._FIRST_LOOKS_MS = (6_000, *sweep._FIRST_LOOKS_MS)  # so that no run waits half a minute for the relay
    label, module, *arguments = sys.argv[1:]
    hook = Hook(label, Path(os.environ["CRASH_FOLDER"]))
    hook_aws(hook)
    hook_gateway(hook)
    hook_mailer(hook)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def hook_aws(hook: Hook) -> None:
    """Every session that is made from now on sends its requests through ``hook``."""
    original, http = botocore.session.get_session, URLLib3Session(max_pool_connections=64)

    def send(request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        name = event_name.rsplit(".", 1)[1]
        body = _text(request.body)
        if name != "PublishBatch":
            return hook.around(name, body, lambda: http.send(request))
        entries = parse_qsl(body)
        refused = hook.refuses({value for key, value in entries if _EVENT_TYPE.fullmatch(key)})
        events = [value for key, value in entries if _ENTRY_ID.fullmatch(key)]
        call = partial(_refusal if refused else http.send, request)
        return hook.around(name, body, call, lambda answer: {"published": events} if answer.status_code == OK else {})

    def hooked_session(env_vars: Any = None) -> botocore.session.Session:
        session = original(env_vars)
        session.register("before-send", send)  # type: ignore[arg-type]
        return session

    botocore.session.get_session = hooked_session


def hook_gateway(hook: Hook) -> None:
    original = SimulatedGateway.charge

    def charge(self: SimulatedGateway, key: str, amount: Decimal, payment_method: str | None) -> Charge | Decline:
        def facts(answer: Charge | Decline) -> Facts:
            if isinstance(answer, Decline):
                return {}
            return {"charged": [key, answer.transaction_id, str(answer.amount)]}

        return hook.around("charge", key, partial(original, self, key, amount, payment_method), facts)

    SimulatedGateway.charge = charge  # type: ignore[assignment, method-assign]


def hook_mailer(hook: Hook) -> None:
    original = OrderMailer.send

    def send(self: OrderMailer, mail: Mail) -> None:
        hook.around("send", mail.order_id, partial(original, self, mail), lambda _: {"mailed": mail.order_id})

    OrderMailer.send = send  # type: ignore[method-assign]


def _refusal(request: AWSPreparedRequest) -> AWSResponse:
    raw = HTTPResponse(io.BytesIO(_REFUSAL), status=403, preload_content=False)
    return AWSResponse(request.url, 403, HTTPHeaders.from_dict({"Content-Type": "text/xml"}), raw)


def _fingerprint(answer: object) -> str:
    return _text(answer.content) if isinstance(answer, AWSResponse) else repr(answer)


def _text(body: Any) -> str:
    return body.decode() if isinstance(body, bytes) else body or ""


if __name__ == "__main__":
    main()
