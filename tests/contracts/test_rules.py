"""What each small change of a schema does to old readers of new messages, and to new readers of old ones."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.contracts import rules
from scripts.contracts.examples import examples
from scripts.contracts.rules import RULES, Rule, refused
from scripts.contracts.schema import Schema, opened, refusal, validator
from tests.contracts.changes import BASE, CHANGES, Change

ENOUGH = 25


def _directions(change: Change) -> tuple[tuple[Schema, Schema, str | None], ...]:
    """Writer, reader, and the rule that refuses."""
    changed = change.changed
    return (BASE, changed, change.new_reads_old), (changed, opened(BASE), change.old_reads_new)


def _as_expected(change: Change) -> bool:
    return all(
        {finding.rule for finding in refused(written, read)} == ({rule} if rule else set())
        for written, read, rule in _directions(change)
    )


@pytest.fixture(scope="module")
def base_examples() -> list[Any]:
    return examples(BASE, ENOUGH)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_is_refused_in_each_direction_by_the_rule_that_it_breaks(change: Change) -> None:
    for written, read, rule in _directions(change):
        assert {finding.rule for finding in refused(written, read)} == ({rule} if rule else set())


@pytest.mark.parametrize(
    "change", [change for change in CHANGES if change.new_reads_old is None], ids=lambda change: change.name
)
def test_where_the_rules_find_nothing_a_new_reader_takes_every_old_example(
    change: Change, base_examples: list[Any]
) -> None:
    reader = validator(change.changed)
    assert [refusal(reader, value) for value in base_examples] == [None] * len(base_examples)


@pytest.mark.parametrize(
    "change", [change for change in CHANGES if change.old_reads_new is None], ids=lambda change: change.name
)
def test_where_the_rules_find_nothing_an_old_reader_takes_every_new_example(change: Change) -> None:
    reader = validator(opened(BASE))
    made = examples(change.changed, ENOUGH)
    assert [refusal(reader, value) for value in made] == [None] * len(made)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_without_any_one_rule_some_change_would_pass(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "RULES", tuple(other for other in RULES if other is not rule))
    assert not all(map(_as_expected, CHANGES))


def test_a_finding_says_where_what_is_written_and_what_is_read() -> None:
    (change,) = (one for one in CHANGES if one.name == "an item is narrowed")
    (finding,) = refused(BASE, change.changed)
    assert (finding.path, finding.text) == (".lines[].sku", "written with maxLength 4, read with maxLength 3")
