"""A service stops when the process that started it is gone, even after SIGKILL.

The supervisor gives the service the reading end of a pipe and keeps the writing end. The system closes that one when
the supervisor ends. Nothing is ever written.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

STOP_SECONDS = 30
"""How long a process may take to finish its work in flight. Then it is killed."""


def stop_when_orphaned(descriptor: int | None, stop: Callable[[], object]) -> None:
    """Call ``stop``, in a thread, when the writing end of the pipe ``descriptor`` closes. None: there is no supervisor.

    Ends the process `STOP_SECONDS` later, if it still runs.
    """
    if descriptor is not None:
        threading.Thread(target=_watch, args=(descriptor, stop), name="supervised", daemon=True).start()


def _watch(descriptor: int, stop: Callable[[], object]) -> None:
    os.read(descriptor, 1)
    log.warning("the process that started this one is gone: stopping")
    stop()
    time.sleep(STOP_SECONDS)
    os._exit(1)
