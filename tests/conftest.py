"""What every test may ask for, and which process runs which test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]
from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

from tests.stack import AppliedStack, applied_stack

LONG_FOLDERS = ("browser", "faults", "integration", "iam")
"""Begun first, in this order. The first one alone waits for Terraform, where it must be applied."""


class FolderByFolder(LoadScopeScheduling):  # type: ignore[misc]
    """A process runs whole files, and all files of a folder that no other process has begun: they share fixtures.

    The tests of ``faults`` share none and are dealt out one by one.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if _folder(nodeid) == "faults" else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        last = {worker: _folder(next(reversed(units))) for worker, units in self.assigned_work.items() if units}

        def rank(scope: str) -> tuple[bool, bool, int]:
            folder = _folder(scope)
            place = LONG_FOLDERS.index(folder) if folder in LONG_FOLDERS else len(LONG_FOLDERS)
            return folder != last.get(node), folder in last.values(), place

        self.workqueue.move_to_end(min(self.workqueue, key=rank), last=False)
        super()._assign_work_unit(node)


def _folder(nodeid: str) -> str:
    return nodeid.split("/")[1]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FolderByFolder:
    """Called by pytest-xdist when tests run in several processes (``-n``)."""
    return FolderByFolder(config, log)


def pytest_xdist_auto_num_workers() -> int:
    """How many processes ``-n auto`` means: one more than cores, because tests of running services often wait."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="module")
def stack() -> Iterator[AppliedStack]:
    """A local AWS of this file's own, with ShopFlow's resources and the three products in it."""
    with applied_stack() as applied:
        yield applied
