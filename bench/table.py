"""The results as a table for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE
from rich.table import Table

from bench.figures import Figure, Result


def table(results: Iterable[Result]) -> Table:
    """All figures; those that miss their target in red."""
    made = Table(title="Benchmark", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    made.add_column("")
    made.add_column("figure")
    for name in ("value", "unit", "target", "emulator CPU", "backlog"):
        made.add_column(name, justify="left" if name == "unit" else "right", no_wrap=True)
    for result in results:
        made.add_section()
        made.add_row("", f"[bold]{result.title}")
        for figure in result.figures:
            made.add_row(*_row(figure), style="red" if figure.missed else None)
    return made


def verdict(results: Iterable[Result]) -> list[str]:
    """A line for each target that was missed, or one that says that none was."""
    missed = [f"✘ {result.part}: {_miss(figure)}" for result in results for figure in result.missed]
    return missed or ["✔ Every target is met"]


def number(value: float) -> str:
    """Three significant digits, and no fraction of what is counted in hundreds."""
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _row(figure: Figure) -> tuple[str, ...]:
    mark = "" if figure.target is None else "✘" if figure.missed else "✔"
    target = str(figure.target or "")
    seen = figure.conditions
    conditions = (f"{seen.emulator_cpu:.0%}", f"{seen.largest_backlog:,}") if seen else ("", "")
    return (mark, figure.name, number(figure.value), figure.unit, target, *conditions)


def _miss(figure: Figure) -> str:
    return f"{figure.name} is {number(figure.value)} {figure.unit}, target {figure.target}"
