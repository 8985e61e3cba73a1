"""What a part of the benchmark found: for the terminal, as docs/bench/results.json, and as the page made from it."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from scripts.infra.stack import ROOT, read_json, write_atomically

FOLDER = ROOT / "docs" / "bench"
JSON_FILE, PAGE = "results.json", "results.md"
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
    """Replace the result of this part in ``folder``, and write the page of all parts."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = (read_json(folder / JSON_FILE) or {"parts": {}})["parts"]
    rows = [{**asdict(row), "values": [float(f"{value:.4g}") for value in row.values]} for row in result.rows]
    parts[result.part] = {**_circumstances(), "quick": quick, **asdict(result), "rows": rows}
    _write(folder / JSON_FILE, json.dumps({"parts": parts}, indent=1, ensure_ascii=False) + "\n")
    _write(folder / PAGE, _page(parts))


def _write(file: Path, text: str) -> None:
    write_atomically(file, text)
    file.chmod(0o644)


def _page(parts: Mapping[str, Mapping[str, Any]]) -> str:
    header = "# Benchmark results\n\nWritten by `make bench`. [performance.md](../performance.md) explains them.\n"
    return header + "".join(map(_section, parts.values()))


def _section(part: Mapping[str, Any]) -> str:
    columns = part["columns"]
    lines = [f"| | {' | '.join(columns)} | |", f"|---|{'---:|' * len(columns)}---|"]
    for row in part["rows"]:
        lines.append(f"| {row['name']} | {' | '.join(map(_number, row['values']))} | {row['unit']} |")
    notes = "".join(f"\n- {note}" for note in part["notes"])
    quick = ", a quick run: it shows that the part works, not how fast it is" if part["quick"] else ""
    when = f"`python -m bench {part['part']}`, {part['date']}, commit {part['commit']}{quick}. {part['machine']}."
    return f"\n## {part['title']}\n\n" + "\n".join(lines) + f"\n{notes}\n\n{when}\n"


def _number(value: float) -> str:
    """Three significant digits, and no fraction above 100."""
    if math.isnan(value):
        return ""
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _circumstances() -> dict[str, str]:
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}",
    }


def _commit() -> str:
    """The commit that is checked out, with a + when files differ from it."""
    describe = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
