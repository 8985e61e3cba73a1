"""Python runs this when it starts with this folder on PYTHONPATH: it notes every AWS call that the process makes.

CALLS_FILE names the file to append to: a JSON line for each call, with the thread that made it. Child processes inherit
both variables, so they are heard too.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import botocore.session

_new_session = botocore.session.get_session


def _note(params: dict[str, Any], model: Any, **_: Any) -> None:
    call = {
        "thread": threading.current_thread().name,
        "service": model.service_model.service_name,
        "operation": model.name,
        "params": params,
    }
    with open(os.environ["CALLS_FILE"], "a") as calls:  # noqa: PTH123 - nothing more is imported than must be
        calls.write(json.dumps(call, default=str) + "\n")


def _heard_session(env_vars: Any = None) -> botocore.session.Session:
    session = _new_session(env_vars)
    session.register("provide-client-params", _note)  # type: ignore[arg-type]
    return session


botocore.session.get_session = _heard_session
