"""Python runs this when it starts with this folder on PYTHONPATH: it counts every AWS call that the process makes.

When the process ends it writes its counts by operation into a file of its own in the folder that BENCH_CALLS names.
Child processes inherit both variables, so `python -m scripts.run_all` counts in every service, unchanged.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from botocore.client import BaseClient

_calls: Counter[str] = Counter()
_lock = threading.Lock()
_make_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]


def _counted(client: BaseClient, operation: str, params: dict[str, Any]) -> Any:
    with _lock:
        _calls[operation] += 1
    return _make_api_call(client, operation, params)


def _write() -> None:
    if _calls:
        Path(os.environ["BENCH_CALLS"], f"{os.getpid()}.json").write_text(json.dumps(_calls))


BaseClient._make_api_call = _counted  # type: ignore[attr-defined]
atexit.register(_write)
