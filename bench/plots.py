"""Plots of the results, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet

from bench.figures import Plot, Row

COLOURS = ("#0b6e99", "#7fb8d1", "#c4532d", "#e8b39c", "#5a7d2a", "#b7cf94")
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "shopflow",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
"""A fixed salt and no date: the same figures make the same file."""


def draw(plot: Plot, folder: Path) -> Path:
    """Write the plot into ``folder``. Returns its path."""
    with mpl.rc_context(STYLE):
        sheet = Sheet(figsize=(7, 3.6), layout="constrained")
        axes = sheet.add_subplot()
        _draw_bars(axes, plot.rows) if isinstance(plot.rows[0].x, str) else _draw_lines(axes, plot.rows)
        axes.set(title=plot.title, xlabel=plot.x_label, ylabel=plot.y_label, ylim=(0, None))
        axes.grid(axis="y", linewidth=0.4, alpha=0.6)
        axes.set_axisbelow(True)
        axes.legend(frameon=False)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{plot.name}.svg"
        sheet.savefig(path, format="svg", metadata={"Date": None})
    return path


def _draw_lines(axes: Axes, rows: tuple[Row, ...]) -> None:
    for name, colour in zip(rows[0].values, COLOURS, strict=False):
        axes.plot([float(row.x) for row in rows], [row.values[name] for row in rows], "o-", label=name, color=colour)


def _draw_bars(axes: Axes, rows: tuple[Row, ...]) -> None:
    names = list(rows[0].values)
    width = 0.8 / len(names)
    for number, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        places = [place + (number - (len(names) - 1) / 2) * width for place in range(len(rows))]
        axes.bar(places, [row.values[name] for row in rows], width, label=name, color=colour)
    axes.set_xticks(range(len(rows)), [str(row.x) for row in rows], rotation=20 if len(rows) > 5 else 0)
