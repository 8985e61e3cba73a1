"""The verdict on a contract that changed: which version it needs, and which services it would break."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from scripts.contracts import comparing
from scripts.contracts.comparing import AUDIT_TRAIL, CLIENTS, Verdict, compare
from scripts.contracts.release import REQUEST, Contract, Version
from scripts.contracts.report import report
from scripts.contracts.schema import Schema, normal
from tests.contracts.changes import BASE, CHANGES

EVENT = "order.created"
BEFORE = Contract(EVENT, Version(1, 0), normal(BASE), ("inventory", "audit"), "PENDING")
ADDED = "an optional field is added"
NARROWED = "a maximum falls"
WIDENED = "a maximum rises"


def _schema(change: str) -> Schema:
    return normal(next(one.changed for one in CHANGES if one.name == change))


def _now(version: str, change: str = "nothing") -> Contract:
    return replace(BEFORE, version=Version.of(version), schema=_schema(change))


def _verdict(before: Contract | None, now: Contract | None) -> Verdict:
    earlier, later = ({one.name: one} if one else {} for one in (before, now))
    (verdict,) = compare(earlier, later, lambda _: None)
    return verdict


@pytest.mark.parametrize(
    ("version", "change", "note", "refusal"),
    [
        ("1.0", "nothing", "unchanged", None),
        ("1.0", "a description is written", "unchanged", None),
        ("1.1", "nothing", "unchanged", None),
        ("1.1", ADDED, "compatible", None),
        ("1.0", ADDED, "changed", "compatible, but raise its version in schemas/catalog.json to 1.1"),
        ("1.0", NARROWED, "incompatible", "raise its version in schemas/catalog.json to 2.0"),
        ("1.1", NARROWED, "incompatible", "to 2.0"),
        ("1.1", WIDENED, "incompatible", "to 2.0"),
        ("2.0", NARROWED, "a new major version", None),
        ("2.0", WIDENED, "a new major version", None),
        ("0.9", "nothing", "1.0 → 0.9", "never goes back"),
        ("0.9", ADDED, "1.0 → 0.9", "never goes back"),
    ],
)
def test_a_change_needs_its_version(version: str, change: str, note: str, refusal: str | None) -> None:
    verdict = _verdict(BEFORE, _now(version, change))
    assert note in verdict.note
    assert (refusal in verdict.refusal) if refusal and verdict.refusal else verdict.refusal is refusal


def test_new_code_that_refuses_old_events_breaks_the_consumers_and_the_replay() -> None:
    (found,) = _verdict(BEFORE, _now("1.1", NARROWED)).breaks
    assert (found.readers, found.doing) == (("inventory", "audit", AUDIT_TRAIL), "new code reading old events")


def test_old_code_that_refuses_new_events_breaks_the_consumers_that_there_were() -> None:
    now = replace(_now("1.1", WIDENED), readers=("audit", "newcomer"))
    (found,) = _verdict(BEFORE, now).breaks
    assert (found.readers, found.doing) == (("inventory", "audit"), "old code reading new events")


def test_a_removed_event_is_refused_whatever_its_version() -> None:
    verdict = _verdict(BEFORE, None)
    assert verdict.refusal == "keep it: the audit trail holds such events for ever"
    assert verdict.breaks[0].readers == ("inventory", "audit", AUDIT_TRAIL)


def test_a_new_event_may_come() -> None:
    assert _verdict(None, _now("1.0")) == Verdict(EVENT, "1.0: new")


def test_another_status_needs_a_new_major_version() -> None:
    assert "no longer PENDING" in _verdict(BEFORE, replace(_now("1.1"), status="PAID")).note
    assert _verdict(BEFORE, replace(_now("1.1"), status="PAID")).refusal
    assert not _verdict(BEFORE, replace(_now("2.0"), status="PAID")).refusal


def test_a_request_may_become_more_tolerant_and_no_less() -> None:
    before = replace(BEFORE, name=REQUEST, readers=("order",), status=None)
    wider, narrower = (replace(before, version=Version(1, 1), schema=_schema(change)) for change in (WIDENED, NARROWED))
    assert _verdict(before, wider).refusal is None
    verdict = _verdict(before, narrower)
    assert "info.version in api/openapi.json to 2.0" in str(verdict.refusal)
    assert [found.readers for found in verdict.breaks] == [(CLIENTS,)]


def test_what_the_rules_overlook_an_example_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "refused", lambda _written, _read: [])
    (found,) = _verdict(BEFORE, _now("1.1", "an enum loses a value")).breaks
    assert found.example is not None
    assert "status" in found.example


def test_the_report_names_the_services_and_shows_the_same_findings_once() -> None:
    other = "payment.failed"
    before = {EVENT: BEFORE, other: replace(BEFORE, name=other, readers=("notification",))}
    now = {name: replace(one, version=Version(1, 1), schema=_schema(NARROWED)) for name, one in before.items()}
    out = StringIO()
    assert report(compare(before, now, lambda _: None), Console(file=out)) == 1
    lines = out.getvalue().splitlines()
    assert f"    would break inventory, audit, {AUDIT_TRAIL} (new code reading old events)" in lines
    assert lines.count("      count (bounds): written with maximum 9, read with maximum 8") == 1
    assert "      the same as in order.created" in lines
    assert lines[-1] == "2 contracts compared, 2 refused."
