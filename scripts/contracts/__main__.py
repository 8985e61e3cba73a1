"""Check the contracts against every released version, release new versions, or write docs/asyncapi.json."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from scripts.console import FAILED, OK, new_console, parser_of, run_command
from scripts.contracts.asyncapi import DOCUMENT, asyncapi
from scripts.contracts.released import load_contracts, problem
from scripts.infra.stack import ROOT
from shopflow import jsontext
from shopflow.catalog import load_catalog

ABOUT = """\
Check that events and requests change only as the policy allows: a minor version adds optional fields; anything else is
a new major version. Events are kept for ever and replayed, so every released version of the same major version counts.

  python -m scripts.contracts            check every contract (also: make contracts)
  python -m scripts.contracts release    write the new versions to schemas/released, if they follow the policy
  python -m scripts.contracts asyncapi   write docs/asyncapi.json from the catalogue and the schemas

The version of an event is in schemas/catalog.json, or in the catalogue of its overlay. The version of POST /orders is
that of api/openapi.json. A version is released when its file is on the branch main: never edit such a file. Until
then you may delete the file, change the contract and write the file again.

exit codes: 0 the contracts follow the policy and are released, 1 they are not, 2 a file cannot be read
"""


def check(root: Path, console: Console, release: bool = False) -> int:
    """Print one line for each contract. Returns the exit code. ``release``: write the files of new versions first."""
    code = OK
    for contract in load_contracts(root):
        wrong = problem(contract)
        if wrong is None and contract.version not in contract.released:
            if release:
                contract.release()
            else:
                wrong = "is not released: run 'python -m scripts.contracts release' and commit the new file"
        line = f"{contract.name} {contract.version}"
        console.print(f"✘ {line}: {wrong}." if wrong else f"✔ {line}", style="red" if wrong else None, soft_wrap=True)
        code = FAILED if wrong else code
    return code


def main() -> int:
    parser = parser_of("scripts.contracts", ABOUT)
    parser.add_argument("command", nargs="?", choices=("check", "release", "asyncapi"), default="check")
    command = parser.parse_args().command
    if command == "asyncapi":
        DOCUMENT.write_text(jsontext.dumps(asyncapi(load_catalog()), indent=2) + "\n")
        print(f"✔ {DOCUMENT.relative_to(ROOT)}")
        return OK
    return check(ROOT, new_console(markup=False), release=command == "release")


if __name__ == "__main__":
    sys.exit(run_command(main))
