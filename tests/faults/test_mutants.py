"""The crash matrix and the simulation have teeth: a deliberate fault in the code is caught by one of them."""

from __future__ import annotations

import logging
from itertools import islice

import pytest

from shopflow.messaging.relay import Relay
from tests.faults.mutants import MUTANTS, catch, trials
from tests.faults.surgery import Mutant, OutdatedMutant, Surgery, operated


@pytest.fixture(autouse=True)
def _without_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_deliberate_fault_is_caught(mutant: Mutant) -> None:
    assert catch(mutant) is not None


def test_nothing_is_caught_in_the_code_as_it_is() -> None:
    """A hundred of the runs that the mutants go through. The matrix and the simulation have all of them."""
    assert [trial.name for trial in islice(trials(), 100) if trial.breaches()] == []


def test_a_mutant_is_undone() -> None:
    before = dict(vars(Relay))
    for mutant in MUTANTS:
        with operated(mutant):
            pass
    assert dict(vars(Relay)) == before


def test_a_mutant_of_what_is_gone_fails() -> None:
    with pytest.raises(OutdatedMutant, match="Relay has no sweeping"):
        Surgery().replace(Relay, "sweeping", None)
