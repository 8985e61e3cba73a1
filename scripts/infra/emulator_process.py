"""The process that `scripts.infra.emulator` starts: ministack, which here also saves its state while it runs.

Without this ministack saves only when it stops, so a SIGKILL would lose everything; and when it cannot save, it only
logs that. Here a fork of the process saves: it has all queues and tables as they were between two requests, and writes
them while the emulator goes on. A complete save appears in one step: under its number, or as `LAST` when the emulator
stops. The next start loads the newest one.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import itertools
import os
import shutil
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any, TypeVar

import ministack.app as emulator
from ministack.core import persistence

T = TypeVar("T")
MAX_CPU_SHARE = 0.2
"""Saving uses at most this share of one processor: a larger state means a longer pause between saves."""
MAX_SAVE_SECONDS = 300
"""A save that takes longer hangs, perhaps on a lock that a server thread held at the fork. It is killed."""
STATE, SAVES, LAST = Path("state"), Path("saves"), "last"
"""In the folder where the emulator runs. That folder may be moved meanwhile."""


def restore() -> None:
    """Copy the newest save to where the emulator looks. If this is interrupted, the next start does it again."""
    last = SAVES / LAST
    numbered = [save for save in SAVES.glob("*") if save.name.isdecimal()]
    complete = [last] if last.exists() else sorted(numbered, key=lambda save: int(save.name))
    if complete:
        STATE.mkdir(parents=True, exist_ok=True)
        for file in complete[-1].iterdir():
            draft = STATE / f"{file.name}.tmp"
            shutil.copy(file, draft)
            draft.replace(STATE / file.name)
    shutil.rmtree(SAVES, ignore_errors=True)


def save_last() -> None:
    """Save when the emulator stops."""
    try:
        _write(LAST).rename(SAVES / LAST)
    except Exception:
        traceback.print_exc()  # the stop sees that there is no last save


def fork(number: int) -> int:
    """Start a save of the state as it is now, under ``number``. Returns the id of the process that saves."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _leave_the_server()
            copy.deepcopy = _itself  # type: ignore[assignment]  # saves half the time: nobody else uses this memory
            draft = _write(str(number))
            if os.getppid() == parent:  # otherwise the emulator has ended, and a new one may have started
                draft.rename(SAVES / str(number))
                shutil.rmtree(SAVES / str(number - 1), ignore_errors=True)
            code = 0
        except Exception:
            traceback.print_exc()  # into the emulator's log; the next save tries again
        finally:
            os._exit(code)
    return child


def _write(name: str) -> Path:
    draft = SAVES / f"draft-{name}"
    shutil.rmtree(draft, ignore_errors=True)
    persistence.STATE_DIR = str(draft)
    for service, state_of in emulator._build_persistence_save_dict().items():
        state = state_of()
        if state is not None:
            persistence.save_state(service, state)
            (draft / f"{service}.json").stat()  # save_state only logs its errors; this raises
    return draft


def _itself(value: T, _memo: object = None) -> T:
    return value


def _leave_the_server() -> None:
    """In the child: drop the server's signal handlers, sockets and lock, and run at a lower priority."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(MAX_SAVE_SECONDS)
    for descriptor in [int(file.name) for file in Path("/dev/fd").iterdir()]:
        if descriptor > sys.stderr.fileno():
            with contextlib.suppress(OSError):
                os.close(descriptor)
    os.nice(5)
    gc.disable()


async def save_repeatedly(seconds: float) -> None:
    """Save, wait, save. Runs in the server's event loop, so no request is half done at the moment of a fork."""
    pause = seconds
    for number in itertools.count(1):
        await asyncio.sleep(pause)
        child = fork(number)
        try:
            _, _, used = await asyncio.to_thread(os.wait4, child, 0)
        except asyncio.CancelledError:  # the emulator stops, and saves on its own
            os.kill(child, signal.SIGKILL)
            raise
        pause = max(seconds, (used.ru_utime + used.ru_stime) / MAX_CPU_SHARE)


def main() -> None:
    restore()
    serve, seconds = emulator.app, os.environ["SAVE_SECONDS"]
    tasks: set[asyncio.Task[None]] = set()  # the event loop keeps only weak references

    async def saving_app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" and seconds:
            tasks.add(asyncio.create_task(save_repeatedly(float(seconds))))
        await serve(scope, receive, send)

    emulator.app = saving_app
    emulator.save_all = lambda _: save_last()
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)  # the child uses no other thread
    emulator.main()


if __name__ == "__main__":
    main()
