"""The fault tests can fail: they catch each deliberate fault in the code."""

from __future__ import annotations

import logging

import pytest

from shopflow.messaging.relay import Relay
from tests.faults.catch_mutants import catch
from tests.faults.mutants import MUTANTS, Mutant, OutdatedMutant


@pytest.mark.parametrize("name", MUTANTS)
def test_a_deliberate_fault_is_caught(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    assert catch(MUTANTS[name]) is not None


def test_a_mutant_is_undone() -> None:
    for mutant in MUTANTS.values():
        before = [function.__code__ for function in mutant.functions]
        with mutant.put_in():
            assert [function.__code__ for function in mutant.functions] != before
        assert [function.__code__ for function in mutant.functions] == before


def test_a_mutant_of_code_that_has_changed_fails() -> None:
    outdated = Mutant("", (Relay.sweep, "not in the source", ""))
    with pytest.raises(OutdatedMutant, match=r"Relay\.sweep"), outdated.put_in():
        pass
