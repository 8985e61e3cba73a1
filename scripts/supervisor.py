"""Keeps the processes of `make run-all` running, and breaks them on request."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from scripts.console import MISUSED, CommandError
from scripts.services import ORDER, Command, Services
from shopflow.clock import SystemClock

FAULT_SECONDS = 60
"""Each fault ends by itself after this time."""
MAX_BACK_OFF_SECONDS = 30.0
"""The delay before a restart doubles with each crash, from 1 s to this."""
STEADY_SECONDS = 30.0
"""After a run of this length a crash counts as the first one again."""
Say = Callable[[str, str, int], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is broken until ``ends_at`` (ms), when ``end`` repairs it."""

    ends_at: int
    end: Callable[[], object]


class Supervisor:
    """Starts each process again that crashes, and does to services what is asked for. Thread-safe.

    ``say(label, text, level)`` writes a line of that process. Call `look` several times a second: only that notices
    what has ended.
    """

    def __init__(self, services: Services, say: Say, fault_seconds: float = FAULT_SECONDS) -> None:
        self._services = services
        self._say = say
        self._fault_seconds = fault_seconds
        self._lock = threading.RLock()
        self._back_off: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._down: set[str] = set()
        self._frozen: set[str] = set()
        self._faults: dict[str, Fault] = {}

    def look(self) -> int | None:
        """Notice what has ended, start it again when it is due, and end faults that are over.

        Returns `MISUSED` as soon as a process ends with that code: its settings are wrong, and a restart would not
        help.
        """
        with self._lock:
            for ended in self._services.ended():
                self._frozen.discard(ended.label)
                if ended.label in self._down:
                    continue
                if ended.exit_code == MISUSED:
                    self._say(ended.label, "has a wrong setting: stopping all", logging.ERROR)
                    return MISUSED
                steady = ended.ran_seconds >= STEADY_SECONDS or ended.label not in self._back_off
                seconds = 1.0 if steady else min(2 * self._back_off[ended.label], MAX_BACK_OFF_SECONDS)
                self._back_off[ended.label] = seconds
                self._say(ended.label, f"{ended.cause}; starting again in {seconds:g} s", logging.ERROR)
                self._due[ended.label] = time.monotonic() + seconds
            for label in [label for label, at in self._due.items() if at <= time.monotonic()]:
                del self._due[label]
                if label not in self._down:
                    self._services.start(label)
                    self._say(label, "started again", logging.WARNING)
            over = [name for name, fault in self._faults.items() if fault.ends_at <= SystemClock().now_ms()]
        for name in over:
            threading.Thread(target=self.end_fault, args=(name,), name=f"end of {name}").start()
        return None

    def labels(self, service: str) -> list[str]:
        """The processes of a service. Raises `CommandError` when there is no such service."""
        commands = self._services.commands(service)
        if not commands:
            raise CommandError(f"there is no service {service}")
        return [command.label for command in commands]

    def pids(self) -> dict[str, int]:
        """The running processes, by label."""
        with self._lock:
            pids = {label: self._services.pid(label) for label in self._services.labels}
        return {label: pid for label, pid in pids.items() if pid is not None}

    def state(self, services: list[str]) -> dict[str, Any]:
        """The processes and the faults, as the control socket shows them."""
        with self._lock:
            pids, shown = self.pids(), {}
            for service in services:
                labels = self.labels(service)
                running = [pids[label] for label in labels if label in pids]
                state = "frozen" if self._frozen.intersection(labels) else "running" if running else "stopped"
                shown[service] = {"pids": running, "state": state}
            faults = [{"name": name, "ends_at": fault.ends_at} for name, fault in self._faults.items()]
        return {"services": shown, "faults": faults}

    def kill(self, service: str) -> None:
        """SIGKILL. The service stays down until it is started, or a minute.

        The Order Service comes back at once: without it, nobody could see the page or ask for anything.
        """
        if service == ORDER:
            for label in self.labels(service):
                self._services.send(label, signal.SIGKILL)
        else:
            self._end(self.labels(service), signal.SIGKILL)
            self.add_fault(f"killed {service}", lambda: self.start(service))

    def stop(self, service: str) -> None:
        """SIGTERM: the service finishes what it has begun. It stays down until it is started, or a minute."""
        self._end(self.labels(service), signal.SIGTERM)
        self.add_fault(f"stopped {service}", lambda: self.start(service))

    def start(self, service: str, env: Mapping[str, str] | None = None) -> None:
        """Start what is down and thaw what is frozen, with ``env`` instead of its usual variables of its own."""
        labels = self.labels(service)
        with self._lock:
            for broken in ("killed", "stopped", "frozen"):
                self._faults.pop(f"{broken} {service}", None)
            for label in labels:
                self._services.send(label, signal.SIGCONT)
                self._frozen.discard(label)
                self._down.discard(label)
                self._due.pop(label, None)
            if env is not None:
                for command in self._services.commands(service):
                    self._services.add(replace(command, env=env))
            self._services.start(*labels)

    def restart(self, service: str, env: Mapping[str, str] | None = None) -> None:
        self._end(self.labels(service), signal.SIGTERM)
        self.start(service, env)

    def freeze(self, service: str) -> None:
        """SIGSTOP: the processes are there and do nothing, until they are started again, or a minute."""
        with self._lock:
            for label in self.labels(service):
                if self._services.pid(label) is not None:
                    self._frozen.add(label)
                    self._services.send(label, signal.SIGSTOP)
        self.add_fault(f"frozen {service}", lambda: self.start(service))

    def env_of(self, service: str) -> Mapping[str, str]:
        """The variables that only the processes of this service get."""
        return self._services.commands(service)[0].env

    def add(self, command: Command) -> None:
        """Start one more process."""
        with self._lock:
            self._services.add(command)
            self._services.start(command.label)

    def scale(self, service: str, processes: int) -> list[str]:
        """Start more processes of a service until there are so many. Returns the labels of the new ones."""
        first, *others = self._services.commands(service)
        labels = [f"{service}+{number}" for number in range(1, processes - len(others))]
        for label in labels:
            self.add(replace(first, label=label))
        return labels

    def remove(self, labels: list[str]) -> None:
        """Stop these processes for good."""
        self._end(labels, signal.SIGTERM)
        with self._lock:
            for label in labels:
                self._services.remove(label)
                self._down.discard(label)

    def add_fault(self, name: str, end: Callable[[], object]) -> None:
        """Note a fault that has begun. ``end`` is called once: after a minute, or sooner on request."""
        with self._lock:
            ends_at = SystemClock().now_ms() + round(self._fault_seconds * 1000)
            self._faults[name] = Fault(ends_at, end)

    def has_fault(self, name: str) -> bool:
        """Whether the fault is on, and nobody has begun to end it."""
        with self._lock:
            return name in self._faults

    def end_fault(self, name: str) -> None:
        with self._lock:
            fault = self._faults.pop(name, None)
        if fault:
            fault.end()

    def end_faults(self) -> None:
        """Repair everything now."""
        for name in list(self._faults):
            self.end_fault(name)

    def _end(self, labels: list[str], signum: signal.Signals) -> None:
        """Send ``signum`` and wait until the processes have ended. They stay down."""
        with self._lock:
            self._down.update(labels)
            self._frozen.difference_update(labels)
        self._services.end(labels, signum)
