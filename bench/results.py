"""What a part of the benchmark found, for the terminal and as a page of docs/bench."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table

from scripts.infra.stack import ROOT

FOLDER = ROOT / "docs" / "bench"
PACKAGES = ("boto3", "botocore", "ministack")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, with a value for each column of its result. NaN: not measured there."""

    name: str
    unit: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What one part found. ``notes`` say how to read it."""

    part: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of ``values`` (at least one) that at least ``percent`` (0-100) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def table_of(result: Result) -> Table:
    """The result as a table for a terminal."""
    table = Table("", "", *result.columns, title=result.title, title_justify="left", box=SIMPLE)
    for column in table.columns[2:]:
        column.justify = "right"
    for row in result.rows:
        table.add_row(row.name, row.unit, *map(_number, row.values))
    return table


def save(result: Result, folder: Path, *, quick: bool) -> None:
    """Write the page of this part into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"| | {' | '.join(result.columns)} | |", f"|---|{'---:|' * len(result.columns)}---|"]
    lines += [f"| {row.name} | {' | '.join(map(_number, row.values))} | {row.unit} |" for row in result.rows]
    notes = "".join(f"\n- {note}" for note in result.notes)
    warning = " (a quick run: it shows that the part works, not how fast it is)" if quick else ""
    how = f"`python -m bench {result.part}`{warning}, {_circumstances()}."
    (folder / f"{result.part}.md").write_text(f"# {result.title}\n\n" + "\n".join(lines) + f"\n{notes}\n\n{how}\n")


def _number(value: float) -> str:
    """Three significant digits, and no fraction above 100."""
    if math.isnan(value):
        return ""
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _circumstances() -> str:
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{datetime.now(UTC):%Y-%m-%d}, commit {_commit()}. {machine}, {versions}"


def _commit() -> str:
    """The commit that is checked out, with a + when files differ from it."""
    describe = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
