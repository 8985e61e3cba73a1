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
LAST = "last"
NICENESS = 5


class Saves:
    """The folder of the saves. The emulator loads ``state`` when it starts."""

    def __init__(self, folder: Path, state: Path) -> None:
        self._folder = folder
        self._state = state
        self._number = 0

    def restore(self) -> None:
        """Copy the newest save into ``state``. If this is interrupted, the next start does it again."""
        last = self._folder / LAST
        numbered = [save for save in self._folder.glob("*") if save.name.isdecimal()]
        complete = [last] if last.exists() else sorted(numbered, key=lambda save: int(save.name))
        if complete:
            self._state.mkdir(parents=True, exist_ok=True)
            for file in complete[-1].iterdir():
                draft = self._state / f"{file.name}.tmp"
                shutil.copy(file, draft)
                draft.replace(self._state / file.name)
        shutil.rmtree(self._folder, ignore_errors=True)

    def save_last(self) -> None:
        """Save when the emulator stops."""
        try:
            self._write(LAST).rename(self._folder / LAST)
        except Exception:
            traceback.print_exc()  # the stop sees that there is no last save

    def fork(self) -> int:
        """Start a save of the state as it is now. Returns the id of the process that saves."""
        self._number += 1
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _leave_the_server()
                copy.deepcopy = _itself  # type: ignore[assignment]  # saves half the time: nobody else uses this memory
                draft = self._write(str(self._number))
                if os.getppid() == parent:  # otherwise the emulator has ended, and a new one may have started
                    draft.rename(self._folder / str(self._number))
                    shutil.rmtree(self._folder / str(self._number - 1), ignore_errors=True)
                code = 0
            except Exception:
                traceback.print_exc()  # into the emulator's log; the next save tries again
            finally:
                os._exit(code)
        return child

    def _write(self, name: str) -> Path:
        draft = self._folder / f"draft-{name}"
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
    os.nice(NICENESS)
    gc.disable()


async def save_repeatedly(saves: Saves, seconds: float) -> None:
    """Save, wait, save. Runs in the server's event loop, so no request is half done at the moment of a fork."""
    pause = seconds
    while True:
        await asyncio.sleep(pause)
        child = saves.fork()
        try:
            _, _, used = await asyncio.to_thread(os.wait4, child, 0)
        except asyncio.CancelledError:  # the emulator stops, and saves on its own
            os.kill(child, signal.SIGKILL)
            raise
        pause = max(seconds, (used.ru_utime + used.ru_stime) / MAX_CPU_SHARE)


def main() -> None:
    saves = Saves(Path(os.environ["SAVES_DIR"]), Path(os.environ["STATE_DIR"]))
    saves.restore()
    serve, seconds = emulator.app, os.environ["SAVE_SECONDS"]
    tasks: set[asyncio.Task[None]] = set()  # the event loop keeps only weak references

    async def saving_app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" and seconds:
            tasks.add(asyncio.create_task(save_repeatedly(saves, float(seconds))))
        await serve(scope, receive, send)

    emulator.app = saving_app
    emulator.save_all = lambda _: saves.save_last()
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)  # the child uses no other thread
    emulator.main()


if __name__ == "__main__":
    main()
