"""The fault tests can fail: they catch each deliberate fault in the code."""

from __future__ import annotations

import logging

import pytest

from shopflow.messaging.relay import Relay
from tests.faults.catch_mutants import catch
from tests.faults.mutants import MUTANTS, Edit, Mutant, OutdatedMutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_deliberate_fault_is_caught(mutant: Mutant, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    assert catch(mutant) is not None


def test_a_mutant_is_undone() -> None:
    for mutant in MUTANTS:
        before = [edit.function.__code__ for edit in mutant.edits]
        with mutant.put_in():
            assert [edit.function.__code__ for edit in mutant.edits] != before
        assert [edit.function.__code__ for edit in mutant.edits] == before


def test_a_mutant_of_code_that_has_changed_fails() -> None:
    outdated = Mutant("outdated", "", Edit(Relay.sweep, "not in the source", ""))
    with pytest.raises(OutdatedMutant, match=r"Relay\.sweep"), outdated.put_in():
        pass
