"""Write the figures of docs/bench/results.json into docs/performance.md: `python -m bench.page`

The page has places for them, ``<!-- results: PART -->`` to ``<!-- end -->``; what is between is written anew.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from typing import Any

from bench.results import FILE
from bench.table import number
from scripts.console import OK, CommandError, run_command
from scripts.infra.stack import ROOT, read_json, write_atomically

PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "docs" / "bench" / FILE
MISSED = "missed"
_PLACE = re.compile(r"(?P<opening><!-- results: (?P<part>[a-z-]+) -->\n).*?(?P<closing><!-- end -->)", re.DOTALL)
Part = Mapping[str, Any]


def fill(page: str, parts: Mapping[str, Part]) -> str:
    """``page`` with the figures of ``parts``, by name, in their places. Raises `CommandError` when it has no place."""
    if not _PLACE.search(page):
        raise CommandError(f"{PAGE.name} has no place for results: <!-- results: PART --> … <!-- end -->")

    def filled(place: re.Match[str]) -> str:
        name = place["part"]
        text = _missed(parts) if name == MISSED else _figures(name, parts.get(name))
        return f"{place['opening']}\n{text}\n\n{place['closing']}"

    return _PLACE.sub(filled, page)


def _figures(name: str, part: Part | None) -> str:
    command = f"`python -m bench {name}`"
    if part is None or part["quick"]:
        return f"Not measured yet: {command}"
    rows = ["| figure | value | target | |", "|---|---:|---:|---|", *map(_row, part["figures"])]
    notes = [f"- {note}" for note in part["notes"]]
    when = f"{command}, {part['date']}, commit {part['commit']}"
    return "\n".join([*rows, "", *notes, "", when])


def _row(figure: Mapping[str, Any]) -> str:
    mark = {True: "met", False: "**missed**", None: ""}[figure.get("met")]
    value = f"{number(figure['value'])} {figure['unit']}".strip()
    return f"| {figure['name']} | {value} | {figure.get('target', '')} | {mark} |"


def _missed(parts: Mapping[str, Part]) -> str:
    """A line for each target that was missed."""
    missed = [
        f"- {name}: {figure['name']} is {number(figure['value'])} {figure['unit']}, target {figure['target']}"
        for name, part in parts.items()
        for figure in part["figures"]
        if figure.get("met") is False and not part["quick"]
    ]
    return "\n".join(missed) or "Every target that was measured is met."


def main() -> int:
    about = f"Write the figures of docs/bench/{FILE} into docs/{PAGE.name}. Run `make bench` before."
    argparse.ArgumentParser(prog="python -m bench.page", description=about).parse_args()
    results = read_json(RESULTS)
    if results is None:
        raise CommandError(f"There is no {RESULTS.relative_to(ROOT)}: run 'make bench' first.")
    write_atomically(PAGE, fill(PAGE.read_text(), results["parts"]))
    PAGE.chmod(0o644)
    print(f"✔ Written: {PAGE.relative_to(ROOT)}")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
