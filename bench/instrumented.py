"""Run a service with each of its AWS calls written down.

    python -m bench.instrumented CALL_LOG MODULE [ARGUMENT …]

Each call is one line of CALL_LOG (`bench.calls` reads it), appended at once, so that several processes can
share a folder and nothing is lost when they are killed. DynamoDB is asked for the units that each call consumed.
With BENCH_CONFLICT_RATE (0-1) that share of the transactions is refused on the client side, as DynamoDB refuses those
that overlap: an emulator never does. So is each transaction that really overlaps one of another process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse

from bench.calls import Call

READS = frozenset({"BatchGetItem", "GetItem", "Query", "Scan"})
CONFLICT_RATE = "BENCH_CONFLICT_RATE"
_ENTRIES = ("TransactItems", "Statements", "Entries", "PublishBatchRequestEntries")


class CallLog:
    """Appends a line for each finished call of the clients that it observes."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def observe(self, client: Any) -> None:
        events = client.meta.events
        events.register("provide-client-params.dynamodb.*", _ask_for_units)
        events.register("before-parameter-build.*.*", _begin)
        events.register("after-call.*.*", self._end)
        events.register("after-call-error.*.*", self._fail)

    def _end(self, model: Any, parsed: Any, context: Any, **_: Any) -> None:
        attempts = 1 + parsed.get("ResponseMetadata", {}).get("RetryAttempts", 0)
        code = parsed.get("Error", {}).get("Code", "")
        units = _units(parsed.get("ConsumedCapacity")) or context["bench_units"]
        self._write(model.name, context, attempts, units, len(parsed.get("Messages", ())), code)

    def _fail(self, exception: Exception, context: Any, **_: Any) -> None:
        self._write(context["bench_operation"], context, 1, 0.0, 0, type(exception).__name__)

    def _write(self, name: str, context: Any, attempts: int, units: float, received: int, code: str) -> None:
        started = context["bench_started"]
        reads, writes = (units, 0.0) if name in READS else (0.0, units)
        entries = received or context["bench_entries"]
        call = Call(name, started, time.monotonic() - started, attempts, reads, writes, entries, code)
        os.write(self._file, call.line().encode())


def _begin(params: Any, model: Any, context: Any, **_: Any) -> None:
    context["bench_operation"] = model.name
    context["bench_started"] = time.monotonic()
    context["bench_entries"] = sum(len(params.get(name, ())) for name in _ENTRIES)
    context["bench_units"] = sum(map(_units_of_reading, params.get("RequestItems", {}).values()))


def _ask_for_units(params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
    takes_it = "ReturnConsumedCapacity" in model.input_shape.members
    return params | {"ReturnConsumedCapacity": "TOTAL"} if takes_it else params


def _units(consumed: Any) -> float:
    """Units of one table or, of a batch call, of several."""
    tables = [consumed] if isinstance(consumed, dict) else consumed or []
    return float(sum(table.get("CapacityUnits", 0) for table in tables))


def _units_of_reading(asked: Any) -> float:
    """For an endpoint that does not say what a batch read consumed. No item here is larger than the 4 KB of a unit."""
    return len(asked["Keys"]) * (1 if asked.get("ConsistentRead") else 0.5)


class Conflicts:
    """Refuses a share of the transactions, and those that overlap another process's (seen by a lock on ``path``)."""

    def __init__(self, rate: float, path: Path) -> None:
        self._rate = rate
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)

    def observe(self, client: Any) -> None:
        client.meta.events.register("before-send.dynamodb.TransactWriteItems", self._before_send)
        client.meta.events.register("needs-retry.dynamodb.TransactWriteItems", self._release)

    def _before_send(self, request: Any, **_: Any) -> AWSResponse | None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _refusal(request)
        return _refusal(request) if random.random() < self._rate else None

    def _release(self, **_: Any) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_UN)


def _refusal(request: Any) -> AWSResponse:
    """What DynamoDB answers to a transaction one of whose items another one is writing."""
    items = json.loads(request.body)["TransactItems"]
    reasons = [{"Code": "None"}] * (len(items) - 1) + [{"Code": "TransactionConflict"}]
    body = {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": reasons,
    }
    headers: Any = {"content-type": "application/x-amz-json-1.0"}
    return AWSResponse(request.url, 400, headers, _Raw(json.dumps(body).encode()))


class _Raw:
    """A body as urllib3 hands it over."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> list[bytes]:
        return [self._body]


def _observed(make: Callable[..., Any], observers: list[Any]) -> Callable[..., Any]:
    def client(self: Any, *arguments: Any, **options: Any) -> Any:
        made = make(self, *arguments, **options)
        for observer in observers:
            observer.observe(made)
        return made

    return client


def main(arguments: list[str]) -> None:
    log, module, *rest = arguments
    observers: list[Any] = [CallLog(Path(log))]
    if rate := os.environ.get(CONFLICT_RATE):
        observers.append(Conflicts(float(rate), Path(log).parent / "transaction.lock"))
    boto3.session.Session.client = _observed(boto3.session.Session.client, observers)  # type: ignore[method-assign]
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
