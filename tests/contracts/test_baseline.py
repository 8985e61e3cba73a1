"""What the contracts are compared with, in repositories of every kind; and the command's exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from rich.console import Console

from scripts.console import Progress
from scripts.contracts import __main__ as command
from scripts.contracts.baseline import Git
from scripts.infra.stack import ROOT
from shopflow.errors import ConfigError
from tests.commands import Ran, run_module


class Repository:
    """A repository with the contracts of today in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "schemas", root / "schemas", ignore=shutil.ignore_patterns("examples"))
        (root / "api").mkdir()
        shutil.copy(ROOT / "api" / "openapi.json", root / "api")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()

    def git(self, *arguments: str) -> str:
        nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *nobody, *arguments], cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={uuid4()}")
        return self.git("rev-parse", "HEAD")

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    def compare(self, reference: str | None = None) -> tuple[int, str]:
        out = StringIO()
        console = Console(file=out, width=200)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(command, "ROOT", self.root)
            code = command.compare_with(reference, Git(self.root), Progress(console), console)
        return code, out.getvalue()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_the_newest_release_counts_by_its_numbers(repository: Repository) -> None:
    repository.git("tag", "v1.9.0")
    newest = repository.commit()
    repository.git("tag", "v1.10.0")
    repository.git("tag", "v2.0.0-rc1")
    repository.commit()
    baseline = Git(repository.root).last_released()
    assert (baseline.commit, baseline.why) == (newest, "v1.10.0, the newest release")


def test_a_release_that_head_does_not_contain_does_not_count(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.commit()
    repository.git("tag", "v9.0.0")
    repository.git("switch", "--quiet", "--create", "fix", first)
    assert "v9.0.0" not in Git(repository.root).last_released().why


def test_without_a_release_a_branch_is_compared_with_where_it_left_main(repository: Repository) -> None:
    left = repository.git("rev-parse", "HEAD")
    repository.git("switch", "--quiet", "--create", "feature")
    repository.commit()
    repository.git("switch", "--quiet", "main")
    repository.commit()
    repository.git("switch", "--quiet", "feature")
    assert Git(repository.root).last_released().commit == left


def test_without_a_release_main_is_compared_with_its_last_commit(repository: Repository) -> None:
    baseline = Git(repository.root).last_released()
    assert baseline.commit == repository.git("rev-parse", "HEAD")
    assert baseline.why == "HEAD, the last commit of main; no release is tagged yet"


def test_without_release_and_main_it_says_what_to_do(repository: Repository) -> None:
    repository.git("branch", "--move", "trunk")
    with pytest.raises(ConfigError, match="git fetch --tags origin main"):
        Git(repository.root).last_released()


def test_outside_a_repository_nothing_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ConfigError, match="not a git repository"):
        Git(tmp_path).last_released()


def test_it_prints_what_was_compared_with_what(repository: Repository) -> None:
    code, told = repository.compare()
    assert code == 0
    assert f"The working tree against {repository.git('rev-parse', 'HEAD')[:7]}: HEAD, the last commit of main" in told
    events = json.loads((repository.root / "schemas/catalog.json").read_text())["events"]
    assert f"{len(events) + 1} contracts compared, none refused." in told


def test_an_overlay_of_the_examples_has_contracts_too(repository: Repository) -> None:
    shutil.copytree(ROOT / "examples", repository.root / "examples")
    repository.commit()
    repository.edit("examples/fraud/schemas/events/fraud.flagged.schema.json", '"maximum": 100', '"maximum": 90')
    code, told = repository.compare()
    assert code == 1
    assert "would break audit, replay of the audit trail (new code reading old events)" in told
    assert "payload.score (bounds): written with maximum 100, read with maximum 90" in told


def test_a_narrowed_part_of_all_contracts_breaks_all_their_consumers(repository: Repository) -> None:
    repository.edit("schemas/common.schema.json", '"maximum": 1000\n', '"maximum": 500\n')
    code, told = repository.compare()
    assert code == 1
    assert "payload.items[].quantity (bounds): written with maximum 1000, read with maximum 500" in told
    assert "would break inventory, audit, replay of the audit trail (new code reading old events)" in told
    assert "would break clients that are in use (old requests to the new code)" in told
    assert "7 contracts compared, 7 refused." in told


def test_a_change_of_the_envelope_is_a_change_of_every_event(repository: Repository) -> None:
    repository.edit(
        "schemas/envelope.schema.json", '-service$",\n      "maxLength": 64', '-service$",\n      "maxLength": 32'
    )
    code, told = repository.compare()
    assert (code, told.count("✘")) == (1, 6)
    assert "source (bounds): written with maxLength 64, read with maxLength 32" in told


def test_a_new_optional_field_passes_with_a_new_minor_version(repository: Repository) -> None:
    released = repository.commit()
    file = "schemas/events/payment.failed.schema.json"
    repository.edit(file, '"properties": {', '"properties": {"bank": {"type": "string", "maxLength": 20},')
    code, told = repository.compare(released)
    assert (code, "✘ payment.failed 1.0: changed" in told) == (1, True)
    repository.edit(
        "schemas/catalog.json",
        '"payment.failed": {"producer": "payment", "version": "1.0"',
        '"payment.failed": {"producer": "payment", "version": "1.1"',
    )
    code, told = repository.compare(released)
    assert (code, "✔ payment.failed 1.0 → 1.1: compatible" in told) == (0, True)


def _run(*arguments: str) -> Ran:
    return run_module("scripts.contracts", *arguments, env=os.environ)


def test_an_unknown_reference_is_exit_code_2_and_one_line() -> None:
    answer = _run("--against", "no-such-reference")
    assert (answer.returncode, answer.stderr) == (
        2,
        "git cannot tell what to compare with: there is no commit no-such-reference\n",
    )


def test_a_schema_that_cannot_be_read_is_exit_code_2(repository: Repository) -> None:
    repository.edit("schemas/catalog.json", "{", "")
    with pytest.raises(ConfigError, match="the working tree cannot be read"):
        repository.compare()
