"""How commands talk to people: progress, one-line errors, exit codes."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from shopflow.errors import ConfigError, ShopFlowError

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes. MISUSED: a setting or an argument is wrong, so trying again will not help."""


class CommandError(ShopFlowError):
    """Something stands in a command's way. The text is one line: what is wrong and what to do."""


class Progress:
    """Says what is going on: a spinner on a terminal, plain lines anywhere else."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Say on one line what is not as it should be."""
        self._console.print(text, markup=False, style="red", soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Announce a step that takes a while. Yields a function that shows how far it is, then says the time taken."""
        started = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(title) as status:
                yield lambda detail: status.update(f"{title}: {detail}")
        else:
            self.say(f"{title} …")
            yield _without_repeats(lambda detail: self.say(f"  {detail}"))
        self.say(f"✔ {title} ({time.monotonic() - started:.1f} s)")


def _without_repeats(show: Callable[[str], None]) -> Callable[[str], None]:
    last = ""

    def show_if_new(detail: str) -> None:
        nonlocal last
        if detail != last:
            last = detail
            show(detail)

    return show_if_new


class RowsLeftOut(logging.Handler):
    """Tells once of each row of a table that cannot be read and was left out."""

    LOGGER = "shopflow.aws.items"

    def __init__(self, errors: Console) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors
        self.told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if (text := record.getMessage()) not in self.told:
            self.told.add(text)
            self._errors.print(text, style="red", markup=False)


def run_command(command: Callable[[], int]) -> int:
    """Run a command to its exit code: each error made on purpose becomes one red line on stderr, Ctrl-C is quiet.

    So does each row that was left out because it cannot be read, and then 0 becomes 1.
    """
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    left_out, logger = RowsLeftOut(errors), logging.getLogger(RowsLeftOut.LOGGER)
    logger.addHandler(left_out)
    try:
        code = _run(command, errors)
    finally:
        logger.removeHandler(left_out)
    return FAILED if code == OK and left_out.told else code


def _run(command: Callable[[], int], errors: Console) -> int:
    try:
        return command()
    except ConfigError as error:
        code = MISUSED
        text = str(error)
    except ShopFlowError as error:
        code = FAILED
        text = str(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left: `… | head`
        sys.stderr.close()
        return OK
    errors.print(text, style="red", markup=False)
    return code


def last_line(text: str) -> str:
    """What a program said last, for an error of one line."""
    return (text.strip().splitlines() or ["it gave no reason"])[-1]
