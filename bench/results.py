"""The results as a file that programs read and git compares: docs/bench/results.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.figures import Figure, Result
from scripts.infra.stack import read_json, write_atomically

FILE = "results.json"


def save(folder: Path, result: Result, circumstances: Mapping[str, Any]) -> None:
    """Put one part's result into the folder's file, in place of an earlier one of that part.

    ``circumstances``: when, on what machine and at which commit it was measured.
    """
    file = folder / FILE
    parts = (read_json(file) or {"parts": {}})["parts"]
    parts[result.part] = {**circumstances, **as_json(result)}
    write_atomically(file, json.dumps({"parts": dict(sorted(parts.items()))}, indent=2, ensure_ascii=False) + "\n")
    file.chmod(0o644)


def as_json(result: Result) -> dict[str, Any]:
    return {
        "title": result.title,
        "figures": [_figure(figure) for figure in result.figures],
        "notes": list(result.notes),
        "facts": {name: _rounded(value) for name, value in result.facts.items()},
        "plots": [asdict(plot) for plot in result.plots],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": figure.name, "value": _rounded(figure.value), "unit": figure.unit}
    if figure.target:
        plain |= {"target": str(figure.target), "met": not figure.missed}
    if figure.conditions:
        plain |= {
            "emulatorCpu": round(figure.conditions.emulator_cpu, 2),
            "largestBacklog": figure.conditions.largest_backlog,
        }
    return plain


def _rounded(value: float) -> float:
    """Four significant digits: more would only be noise in the diff."""
    return float(f"{value:.4g}") if abs(value) < 10_000 else round(value)
