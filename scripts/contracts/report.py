"""The verdicts, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from scripts.console import FAILED, OK
from scripts.contracts.comparing import Break, Verdict
from scripts.contracts.rules import Finding

MAX_FINDINGS = 8
"""Shown of each direction: one change of schemas/common.schema.json can be in many places."""


def report(verdicts: Sequence[Verdict], console: Console) -> int:
    """Print every verdict. Returns the exit code: 1 if one of them refuses."""
    seen: dict[tuple[Finding, ...], str] = {}
    for verdict in verdicts:
        for line in _lines(verdict, seen):
            console.print(line, markup=False, soft_wrap=True, style="red" if verdict.refusal else None)
    refusals = sum(verdict.refusal is not None for verdict in verdicts)
    console.print(f"{len(verdicts)} contracts compared, {refusals or 'none'} refused.")
    return FAILED if refusals else OK


def _lines(verdict: Verdict, seen: dict[tuple[Finding, ...], str]) -> Iterator[str]:
    """``seen``: the findings that were shown already, each with the contract that they were shown of."""
    yield f"{'✘' if verdict.refusal else '✔'} {verdict.name} {verdict.note}"
    for found in verdict.breaks:
        yield f"    would break {', '.join(found.readers)} ({found.doing})"
        if found.findings and seen.setdefault(found.findings, verdict.name) != verdict.name:
            yield f"      the same as in {seen[found.findings]}"
        else:
            yield from _detail(found)
    if verdict.refusal:
        yield f"    {verdict.refusal[0].upper()}{verdict.refusal[1:]}."


def _detail(found: Break) -> Iterator[str]:
    for finding in found.findings[:MAX_FINDINGS]:
        yield f"      {_told(finding)}"
    if len(found.findings) > MAX_FINDINGS:
        yield f"      … and {len(found.findings) - MAX_FINDINGS} more"
    if found.example:
        yield f"      for example {found.example}"


def _told(finding: Finding) -> str:
    return f"{finding.path.removeprefix('.') or 'the message'} ({finding.rule}): {finding.text}"
