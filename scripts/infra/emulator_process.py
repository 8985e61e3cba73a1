"""The emulator, saving what it holds every few seconds: what `scripts.infra.emulator` starts, as a file.

By itself it saves when it stops, so a SIGKILL would lose all that it held. A save here is a fork of the process, made
between two requests: the child has everything as it stood at that moment, queues and tables alike, and writes it down
while the emulator answers on. A folder with a whole save appears under its number at once; the next start takes the
newest over into the folder that the emulator loads.
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
MAX_SHARE = 0.2
"""Of one processor, for saving: the more there is to save, the longer the pause between two saves."""
MAX_SECONDS = 300
"""After that a save hangs, on a lock perhaps that a thread of the server held at the fork, and is ended."""
NICENESS = 5


class Saves:
    """The folder of the saves. ``loaded`` is the one that the emulator loads at its start and writes when it stops."""

    def __init__(self, folder: Path, loaded: Path) -> None:
        self._folder = folder
        self._loaded = loaded
        self._number = 0

    def take_over(self) -> None:
        """Put the newest save in the place of what would be loaded. Killed on the way, it does the same again."""
        whole = [save for save in self._folder.glob("*") if save.name.isdecimal()]
        if whole:
            self._loaded.mkdir(parents=True, exist_ok=True)
            for file in max(whole, key=lambda save: int(save.name)).iterdir():
                draft = self._loaded / f"{file.name}.tmp"
                shutil.copy(file, draft)
                draft.replace(self._loaded / file.name)
        self.discard()

    def discard(self) -> None:
        """Remove them all: what is loaded is newer."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def fork(self) -> int:
        """Start a save of everything as it is now. Returns the number of the process that makes it."""
        self._number += 1
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _leave_the_server()
                self._write(parent)
                code = 0
            except Exception:
                traceback.print_exc()  # into the emulator's log; it tries again next time
            finally:
                os._exit(code)
        return child

    def _write(self, parent: int) -> None:
        copy.deepcopy = _itself  # type: ignore[assignment]  # nobody else has this memory: it spares half the work
        draft = self._folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        persistence.STATE_DIR = str(draft)
        for service, state_of in emulator._build_persistence_save_dict().items():
            state = state_of()
            if state is not None:
                persistence.save_state(service, state)
                (draft / f"{service}.json").stat()  # it only logs that it failed
        if os.getppid() == parent:  # else the emulator is gone, and the next one may have started without this
            draft.rename(self._folder / str(self._number))
            shutil.rmtree(self._folder / str(self._number - 1), ignore_errors=True)


def _itself(value: T, _memo: object = None) -> T:
    return value


def _leave_the_server() -> None:
    """In the child: have nothing of the server's but its memory, and stand back behind it."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(MAX_SECONDS)
    for descriptor in [int(file.name) for file in Path("/dev/fd").iterdir()]:
        if descriptor > sys.stderr.fileno():  # its port, which would stay taken, and its clients' connections
            with contextlib.suppress(OSError):
                os.close(descriptor)
    os.nice(NICENESS)
    gc.disable()


async def save_again_and_again(saves: Saves, seconds: float) -> None:
    """Save, wait, save. Runs in the server's loop, where no request is half done while this has its turn."""
    pause = seconds
    while True:
        await asyncio.sleep(pause)
        child = saves.fork()
        try:
            _, _, used = await asyncio.to_thread(os.wait4, child, 0)
        except asyncio.CancelledError:  # it stops, and saves once more itself
            os.kill(child, signal.SIGKILL)
            raise
        pause = max(seconds, (used.ru_utime + used.ru_stime) / MAX_SHARE)


def main() -> None:
    saves = Saves(Path(os.environ["SAVES_DIR"]), Path(os.environ["STATE_DIR"]))
    saves.take_over()
    serve, seconds = emulator.app, os.environ["SAVE_SECONDS"]
    tasks: set[asyncio.Task[None]] = set()  # the loop itself holds none

    async def saving_app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" and seconds:
            tasks.add(asyncio.create_task(save_again_and_again(saves, float(seconds))))
        await serve(scope, receive, send)

    emulator.app = saving_app
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)  # the child calls no other thread
    emulator.main()
    saves.discard()


if __name__ == "__main__":
    main()
