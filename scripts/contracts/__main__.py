"""Compare the contracts with the last released ones, or draw the AsyncAPI document: `… --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from scripts.console import OK, Progress, run_command
from scripts.contracts.asyncapi import DOCUMENT, asyncapi
from scripts.contracts.baseline import Git
from scripts.contracts.comparing import compare
from scripts.contracts.release import load_release
from scripts.contracts.report import report
from scripts.infra.stack import ROOT
from shopflow import jsontext
from shopflow.catalog import load_catalog

ABOUT = """\
Refuse a change of the contracts that would break a service. Nothing is sent anywhere: git and schemas/ are enough.

  python -m scripts.contracts                   compare the working tree with the last release (also: make contracts)
  python -m scripts.contracts --against v1.0.0  with another tag, branch or commit
  python -m scripts.contracts asyncapi          write docs/asyncapi.json anew from the catalogue and the schemas

The last release is the newest tag like v1.2.3 that HEAD contains. As long as there is none, main counts as released:
a branch is compared with where it left main, and main itself with its last commit.

Within a major version a change may only add optional fields, and needs a new minor version in schemas/catalog.json:
consumers of before must understand new events, and consumers and replays of today old ones. Anything else needs a new
major version. POST /orders (place-order) may also become more tolerant; its version is api/openapi.json's.

exit codes: 0 nothing is broken, 1 a change is refused (the services that it would break are named), 2 nothing could be
compared (standard error says why)
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.contracts", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", choices=("compare", "asyncapi"), default="compare")
    parser.add_argument("--against", metavar="REF", help="the tag, branch or commit to compare with")
    options = parser.parse_args(arguments)
    if options.against is not None and options.command != "compare":
        parser.error("--against goes with compare")
    return options


def main() -> int:
    options = parse(sys.argv[1:])
    if options.command == "asyncapi":
        return write_asyncapi()
    return compare_with(options.against, Git(ROOT), Progress(), Console(highlight=False))


def compare_with(reference: str | None, git: Git, progress: Progress, console: Console) -> int:
    """Compare the working tree with ``reference`` or else the last release. Returns the exit code."""
    baseline = git.last_released() if reference is None else git.named(reference)
    with git.files_of(baseline.commit) as folder:
        before = load_release(folder, baseline.why)
    now = load_release(ROOT, "the working tree")
    progress.say(f"The working tree against {baseline.commit[:7]}: {baseline.why}")
    with progress.step("Comparing the contracts") as show:
        verdicts = compare(before, now, show)
    return report(verdicts, console)


def write_asyncapi() -> int:
    DOCUMENT.write_text(jsontext.dumps(asyncapi(load_catalog()), indent=2) + "\n")
    print(f"✔ {DOCUMENT.relative_to(ROOT)}")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
