"""`make infra-up` on the stack of that name: `python -m bench.infra_up STACK PORT`. For part 7 to time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from scripts.console import OK, Progress, run_command
from scripts.infra.lifecycle import up
from scripts.infra.stack import Stack, stack_for_tests

PREFIX = "shopflow-bench"


def bench_stack(name: str, port: int | None = None) -> Stack:
    """A stack of the benchmark's own; on the port it had last when none is given."""
    stack = stack_for_tests(name)
    return replace(stack, name_prefix=PREFIX, port=port or stack.port)


def main(arguments: Sequence[str]) -> int:
    name, port = arguments
    up(bench_stack(name, int(port)), {}, Progress())
    return OK


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
