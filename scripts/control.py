"""The control socket of `make run-all`: a file in the stack's folder that only its owner can use.

One JSON line a connection asks, one answers; after ``watch`` a line comes whenever there is news.

    {"do": "state"}                                   the processes, the faults, the seven claims
    {"do": "kill", "service": "payment"}              also freeze, stop, start, restart
    {"do": "fault", "name": "twice"}                  also hold, poison; each ends after a minute
    {"do": "run", "claim": 2}                         the experiment of a claim
    {"do": "watch", "since": 1764000000000}           steps, evidence, verdicts, states; with since also lights
"""

from __future__ import annotations

import logging
import os
import queue
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scripts.claims import CLAIMS, Claim
from scripts.console import CommandError
from scripts.faults import Faults, Running
from scripts.lab import Hear, Lab, Message
from scripts.lights import Lights
from shopflow import jsontext
from shopflow.control import MAX_LINE_BYTES, ask
from shopflow.errors import ShopFlowError, Unavailable
from shopflow.invariants import INVARIANTS

SOCKET = "control.sock"
LIGHT_SECONDS = 3.0
IDLE_SHARE = 5
"""A look that takes longer than usual is followed by a pause of so many times its own length."""
MAX_UNSENT = 1000
AFTER_ANSWER_SECONDS = 0.2
"""The service that an action stops may be the Order Service, which asks for it: it has to pass the answer on first."""
ACTIONS = ("kill", "freeze", "stop", "start", "restart")
log = logging.getLogger(__name__)


class Hub:
    """Passes each message on to all watchers. A new one first gets the messages of the claim that is running."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watchers: list[queue.Queue[Message]] = []
        self._of_this_claim: list[Message] = []

    def tell(self, message: Message) -> None:
        with self._lock:
            if message["type"] == "verdict":
                self._of_this_claim = []
            elif message["type"] != "state":
                self._of_this_claim.append(message)
            for watcher in self._watchers:
                with suppress(queue.Full):
                    watcher.put_nowait(message)

    @contextmanager
    def watching(self) -> Iterator[queue.Queue[Message]]:
        watcher: queue.Queue[Message] = queue.Queue(MAX_UNSENT)
        with self._lock:
            for message in self._of_this_claim:
                watcher.put_nowait(message)
            self._watchers.append(watcher)
        try:
            yield watcher
        finally:
            with self._lock:
                self._watchers.remove(watcher)


class Control:
    """Does what the socket's clients ask for: one claim at a time, and no fault from outside meanwhile."""

    def __init__(self, running: Running, heard: list[Hear]) -> None:
        self.faults = Faults(running)
        self._running = running
        self._heard = heard
        self._hub = Hub()
        self._claim: int | None = None
        self._told: Message = {}
        self._lock = threading.Lock()

    def answer(self, request: Any) -> dict[str, Any]:
        """The answer to any request but watch."""
        try:
            match request:
                case {"do": "state"}:
                    lights = [{"id": one, "title": title, "holds": None} for one, title in INVARIANTS.items()]
                    return {**self._state(), "claims": [one.to_json() for one in CLAIMS], "invariants": lights}
                case {"do": str(action), "service": str(service)} if action in ACTIONS:
                    self._check_quiet()
                    self._running.supervisor.labels(service)
                    act = getattr(self._running.supervisor, action)
                    threading.Timer(AFTER_ANSWER_SECONDS, act, (service,)).start()
                case {"do": "fault", "name": str(name)}:
                    self._check_quiet()
                    self.faults.begin(name)
                case {"do": "run", "claim": int(number)}:
                    self._run(number)
                case _:
                    raise CommandError("this is no request that the supervisor knows")
        except ShopFlowError as error:
            return {"error": str(error)}
        return {"ok": True}

    def _state(self) -> dict[str, Any]:
        return {**self._running.supervisor.state(list(self._running.catalog.services)), "claim": self._claim}

    def _check_quiet(self) -> None:
        if self._claim is not None:
            raise CommandError(f"claim {self._claim} is running")

    def _run(self, number: int) -> None:
        claim = next((one for one in CLAIMS if one.id == number), None)
        if claim is None:
            raise CommandError(f"there is no claim {number}, only 1 to {len(CLAIMS)}")
        with self._lock:
            self._check_quiet()
            self._claim = number
        threading.Thread(target=self._experiment, args=(claim,), name=f"claim {number}", daemon=True).start()

    def _experiment(self, claim: Claim) -> None:
        try:
            self._running.supervisor.end_faults()
            holds, text = claim.run(Lab(claim.id, self._running, self.faults, self._hub.tell, self._heard))
        except Exception as error:  # the watchers wait for a verdict: they get one after any error
            log.debug("claim %d", claim.id, exc_info=error)
            holds, text = False, f"The experiment failed: {type(error).__name__}: {' '.join(str(error).split())}"
        finally:
            self._claim = None
        self._hub.tell({"type": "verdict", "claim": claim.id, "holds": holds, "text": text})

    def tell_state(self) -> None:
        """Tell the watchers the state if it has changed."""
        state = self._state()
        if state != self._told:
            self._told = state
            self._hub.tell({"type": "state", **state})

    def messages(self, since: int | None) -> Iterator[Message | None]:
        """What a watcher gets, for ever; None every second, so that its end is noticed."""
        stop = threading.Event()
        with self._hub.watching() as news:
            yield {"type": "state", **self._state()}
            if since is not None:
                threading.Thread(target=self._light, args=(since, news, stop), daemon=True).start()
            try:
                while True:
                    try:
                        yield news.get(timeout=1)
                    except queue.Empty:
                        yield None
            finally:
                stop.set()

    def _light(self, since: int, news: queue.Queue[Message], stop: threading.Event) -> None:
        lights = Lights(self._running, since, lambda: self._claim is None)
        pause = 0.0
        while not stop.wait(pause):
            started = time.monotonic()
            with suppress(ShopFlowError, queue.Full):
                news.put_nowait({"type": "lights", "invariants": lights.look()})
            pause = max(LIGHT_SECONDS, IDLE_SHARE * (time.monotonic() - started))


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        control = self.server.control
        try:
            request = jsontext.loads(self.rfile.readline(MAX_LINE_BYTES))
        except ValueError:
            request = None
        with suppress(OSError):  # the client has gone
            match request:
                case {"do": "watch"}:
                    since = request.get("since")
                    for message in control.messages(since if isinstance(since, int) else None):
                        self.wfile.write(b"\n" if message is None else jsontext.dumps(message).encode() + b"\n")
                case _:
                    self.wfile.write(jsontext.dumps(control.answer(request)).encode() + b"\n")


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    control: Control


@contextmanager
def listening(path: Path, control: Control) -> Iterator[bool]:
    """Listen on the socket at ``path``, which only its owner can use, and remove it at the end.

    Yields False, and does nothing, when another supervisor of the stack listens there, or when it cannot be made: a
    path may be too long for a socket.
    """
    server = _server(path)
    if server is None:
        yield False
        return
    server.control = control
    threading.Thread(target=server.serve_forever, args=(0.1,), name="control", daemon=True).start()
    try:
        yield True
    finally:
        server.shutdown()
        server.server_close()
        path.unlink(missing_ok=True)


def is_answered(path: Path) -> bool:
    """Whether a supervisor listens at ``path``."""
    try:
        ask(path, {"do": "state"})
    except Unavailable:
        return False
    return True


def _server(path: Path) -> _Server | None:
    if is_answered(path):
        return None
    path.unlink(missing_ok=True)
    mask = os.umask(0o177)
    try:
        return _Server(str(path), _Handler)
    except OSError:
        return None
    finally:
        os.umask(mask)
