"""Runs commands as people run them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from scripts.console import run_command
from scripts.infra.stack import ROOT

COMMAND_SECONDS = 100
Ran = subprocess.CompletedProcess[str]
Run = Callable[..., Ran]


def runner(main: Callable[[], int], env: Mapping[str, str], operator_log: Path) -> Run:
    """A function that runs a command's ``main`` with its arguments and what is ``typed``, within this process.

    That saves the start of an interpreter for each call.
    """
    own = dict(env) | {"SHOPFLOW_OPERATOR_LOG": str(operator_log), "COLUMNS": "240"}

    def run(*arguments: str, typed: str = "") -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, own, clear=True),
            mock.patch.object(sys, "argv", ["command", *arguments]),
            mock.patch.object(sys, "stdin", io.StringIO(typed)),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = run_command(main)
        return Ran(arguments, code, out.getvalue(), err.getvalue())

    return run


def install(folder: Path, name: str, script: str) -> None:
    """Put a shell script into the folder, as a program of that name. An empty script gives one that cannot run."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755 if script else 0)


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent: int
    args: str


def processes() -> list[Process]:
    """All of this machine, except those that have ended and whose parent has not asked for their exit code yet."""
    answer = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True)
    rows = [row.split(maxsplit=3) for row in answer.stdout.splitlines()]
    return [Process(int(pid), int(parent), *args) for pid, parent, stat, *args in rows if args and stat[0] != "Z"]


def run_module(module: str, *arguments: str, env: Mapping[str, str]) -> Ran:
    """``python -m module`` with its arguments, as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=dict(env),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
