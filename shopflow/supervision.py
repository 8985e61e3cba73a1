"""A process ends when the one that started and watches it is gone, however that one ended.

The supervisor hands down the reading end of a pipe and keeps the writing end, which the system closes when it dies, by
SIGKILL too. Nothing is ever written.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

STOP_SECONDS = 30
"""How long a process may take to finish what is in flight before it is ended."""


def stop_when_orphaned(descriptor: int | None, stop: Callable[[], object]) -> None:
    """Call ``stop``, from a thread, when the writing end of the pipe ``descriptor`` closes. None: nobody supervises.

    Ends the process if it has not ended by itself after `STOP_SECONDS`.
    """
    if descriptor is not None:
        threading.Thread(target=_watch, args=(descriptor, stop), name="supervised", daemon=True).start()


def _watch(descriptor: int, stop: Callable[[], object]) -> None:
    os.read(descriptor, 1)
    log.warning("whoever started this process is gone: stopping")
    stop()
    time.sleep(STOP_SECONDS)
    os._exit(1)
