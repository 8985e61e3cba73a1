"""How much of something broad `make test` runs. `make test-full` runs all of it (the marker ``full``)."""

from __future__ import annotations

import pytest

full = pytest.mark.full

SHARES = [pytest.param(11, id="every eleventh"), pytest.param(1, id="every one", marks=full)]
"""Steps through a long list of cases. 11, so that each kind of fault comes up: they take turns by two and by six."""
