"""How commands talk to people: arguments, progress, tables, errors of one line, exit codes."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from shopflow.errors import ConfigError, ShopFlowError, Unavailable

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes. MISUSED: a setting or an argument is wrong, so a retry will not help."""

MIN_WIDTH = 80
"""The least columns of a table, also when the terminal is narrower or reports no width (COLUMNS=0)."""


def new_console(**options: Any) -> Console:
    """A `rich.console.Console` for text and tables, on stdout unless ``options`` say otherwise."""
    console = Console(highlight=False, **options)
    console.width = max(console.width, MIN_WIDTH)
    return console


class CommandError(ShopFlowError):
    """A command cannot do its job. The text is one line: what is wrong and what to do."""


@dataclass
class Step:
    """Call it with a detail, to show how far the step is. Set ``failed`` when its result is not as it should be."""

    show: Callable[[str], None]
    failed: bool = False

    def __call__(self, detail: str) -> None:
        self.show(detail)


class Progress:
    """Shows what a command does: a spinner on a terminal, plain lines anywhere else."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or new_console()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print one red line."""
        self._console.print(text, markup=False, style="red", soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Announce a step, and print how it ended and how long it took. After an error it prints nothing."""
        started = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(title) as status:
                yield (step := Step(lambda detail: status.update(f"{title}: {detail}")))
        else:
            self.say(f"{title} …")
            yield (step := Step(lambda detail: self.say(f"  {detail}")))
        self.say(f"{'✘' if step.failed else '✔'} {title} ({time.monotonic() - started:.1f} s)")


QUIET = Progress(Console(quiet=True))
"""Prints nothing."""


def parser_of(module: str, about: str) -> argparse.ArgumentParser:
    """The parser of ``python -m module``. ``about`` is the text of its help, as it is laid out."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def plain_table(title: str, *columns: str, numeric: Sequence[str] = (), show_header: bool = True) -> Table:
    """A table without lines. The columns in ``numeric`` are aligned to the right."""
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), show_header=show_header)
    for name in columns:
        table.add_column(name, justify="right" if name in numeric else "left", overflow="fold")
    return table


class RowsLeftOut(logging.Handler):
    """Prints each malformed row of a table once. `shopflow.aws.items` leaves such rows out and logs them."""

    def __init__(self, errors: Console) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors
        self.printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if (text := record.getMessage()) not in self.printed:
            self.printed.add(text)
            self._errors.print(text, style="red", markup=False)


def run_command(command: Callable[[], int]) -> int:
    """Run ``command`` and return its exit code. An error becomes one red line on stderr; DEBUG=1 adds its traceback.

    A malformed row that was left out becomes one too, and turns 0 into 1. Ctrl-C prints nothing.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # for a terminal that knows ASCII only
    errors = new_console(stderr=True, soft_wrap=True)
    left_out, logger = RowsLeftOut(errors), logging.getLogger("shopflow.aws.items")
    logger.addHandler(left_out)
    try:
        code = command()
    except ShopFlowError as error:
        advice = "AWS does not answer as it should. 'make infra-up' starts a local one. "
        text = f"{advice}({error})" if type(error) is Unavailable else str(error)
        errors.print(text, style="red", markup=False)
        return MISUSED if isinstance(error, ConfigError) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as in `… | head`
        sys.stderr.close()
        return OK
    except Exception as error:
        if os.environ.get("DEBUG"):
            raise
        reason = " ".join(str(error).split())
        errors.print(f"{type(error).__name__}: {reason}. DEBUG=1 shows where.", style="red", markup=False)
        return FAILED
    finally:
        logger.removeHandler(left_out)
    return FAILED if code == OK and left_out.printed else code


def last_line(text: str) -> str:
    """The last line of a program's output, for an error of one line."""
    return (text.strip().splitlines() or ["it gave no reason"])[-1]


def number_up_to(most: int) -> Callable[[str], int]:
    """An argument type for argparse: an integer from 1 to ``most``."""

    def number(text: str) -> int:
        value = int(text)
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from 1 to {most}")
        return value

    return number
