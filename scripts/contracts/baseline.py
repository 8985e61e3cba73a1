"""What to compare with: the last released state of the source, out of git."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.contracts.release import FILES
from shopflow.errors import ConfigError

GIT_SECONDS = 30
_RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_MAIN = ("main", "origin/main")


@dataclass(frozen=True, slots=True)
class Baseline:
    """A commit, and in words why it is the one to compare with."""

    commit: str
    why: str


class Git:
    """Asks the repository at ``root``; changes nothing. Every method raises `ConfigError` when git has no answer."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def named(self, reference: str) -> Baseline:
        """The commit that a person named."""
        return Baseline(self._commit(reference), reference)

    def last_released(self) -> Baseline:
        """The newest release tag that HEAD contains, else where HEAD left the branch main, which counts as released.

        On main itself that is HEAD: what is compared is what was changed since and not committed.
        """
        releases = [tag for tag in self._ask("tag", "--merged", "HEAD").split() if _RELEASE.fullmatch(tag)]
        if releases:
            newest = max(releases, key=_numbers)
            return Baseline(self._commit(newest), f"{newest}, the newest release")
        main = next(filter(self._exists, _MAIN), None)
        if main is None:
            raise ConfigError(
                "There is neither a release tag (like v1.0.0) nor a branch main to compare with: "
                "'git fetch --tags origin main', or name a commit with --against."
            )
        base, head = self._ask("merge-base", "HEAD", main), self._commit("HEAD")
        if base == head:
            return Baseline(head, f"HEAD, the last commit of {main}; no release is tagged yet")
        return Baseline(base, f"where this branch left {main}; no release is tagged yet")

    @contextmanager
    def files_of(self, commit: str) -> Iterator[Path]:
        """A folder with the files of the contracts as they were at ``commit``, while the ``with`` block runs."""
        names = self._ask("ls-tree", "-r", "--name-only", commit, "--", *FILES).splitlines()
        with TemporaryDirectory(prefix="contracts-") as folder:
            for name in names:
                file = Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self._ask("show", f"{commit}:{name}"))
            yield Path(folder)

    def _commit(self, reference: str) -> str:
        return self._ask(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}", why=reference
        )

    def _exists(self, reference: str) -> bool:
        return self._run("rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}").returncode == 0

    def _ask(self, *arguments: str, why: str = "") -> str:
        answer = self._run(*arguments)
        if answer.returncode != 0:
            reason = answer.stderr.strip() or f"there is no commit {why or arguments[-1]}"
            raise ConfigError(f"git cannot tell what to compare with: {reason}")
        return answer.stdout.strip()

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["git", *arguments], cwd=self._root, capture_output=True, text=True, timeout=GIT_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"git does not run, and what was released is in git: {error}") from None


def _numbers(tag: str) -> tuple[int, ...]:
    return tuple(int(number) for number in tag.removeprefix("v").split("."))
