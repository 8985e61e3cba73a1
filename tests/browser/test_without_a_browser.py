"""Where there is no browser these tests are skipped with one clear line; in CI they fail."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from scripts.browser import NoBrowser, chromium

NEEDS = "apt-get install chromium"


def run_tests(**settings: str) -> subprocess.CompletedProcess[str]:
    """The speed tests in a process that finds no program at all."""
    mine = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/browser/test_speed.py"]
    env = mine | {"PATH": ""} | settings
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoBrowser, match=NEEDS), chromium():
        pass


def test_without_a_browser_the_tests_are_skipped_and_say_why() -> None:
    done = run_tests()
    assert done.returncode == 0, done.stdout
    assert "2 skipped" in done.stdout
    assert NEEDS in done.stdout


def test_without_a_browser_the_tests_fail_in_ci() -> None:
    done = run_tests(CI="true")
    assert done.returncode == 1, done.stdout
    assert "2 errors" in done.stdout
    assert NEEDS in done.stdout
