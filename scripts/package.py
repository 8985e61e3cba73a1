"""One zip with all services, for Lambda: `python -m scripts.package --help`."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.console import OK, CommandError, Progress, last_line, parser_of, run_command
from scripts.infra.stack import ROOT

ABOUT = """\
Make the zip from which Lambda runs every service: their code, schemas/, and the packages of requirements/services.lock.

The same input makes the same bytes: order, times and modes of the files are fixed, and packages are checked by their
hashes. (Only the compression depends on the zlib of the Python that runs this.) Lambda's own boto3 is not used, because
AWS updates it without notice. boto3 describes hundreds of services, nine tenths of its size; only those that ShopFlow
calls are packed.

exit codes: 0 made, 1 the packages could not be installed, 2 a wrong argument
"""
LOCK = ROOT / "requirements/services.lock"
FOLDER = ROOT / ".local" / "package"
CODE = ("api", "schemas", "shopflow", "workers")
OVERLAY = "overlay"
"""The folder of the catalogue's overlay. terraform/compute.tf names it too."""
AWS_SERVICES = ("dynamodb", "ses", "sns", "sqs", "ssm")
"""The services that shopflow.aws calls."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Lambda's name for each architecture, and the name in Python's packages."""
OLDEST_GLIBC = 17
"""Packages for any Linux are built for glibc 2.17 or later (manylinux2014). Lambda has 2.26 up to Python 3.11 and 2.34
from 3.12 on. (AWS Lambda developer guide, "Lambda runtimes".)"""
PACKED_AT = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can store."""

_LEFT_OUT = re.compile(
    r"bin/|(.*/)?(__pycache__/|\.)|(overlay/)?schemas/(examples|released)/|[^/]*\.dist-info/(RECORD|INSTALLER|REQUESTED)$"
    rf"|botocore/data/(?!({'|'.join(AWS_SERVICES)})/)[^/]*/"
)
"""Files that no service needs, and files that say where and how a package was installed."""


@dataclass(frozen=True, slots=True)
class Package:
    """The zip at ``file``, and where it will run.

    ``pip_options`` make pip choose packages for that, if it is not this machine.
    """

    file: Path
    python: str
    architecture: str
    pip_options: tuple[str, ...] = ()

    @property
    def runtime(self) -> str:
        """Lambda's name for the Python."""
        return f"python{self.python}"


def for_lambda(file: Path, python: str = "3.13", architecture: str = "x86_64") -> Package:
    """A package for Lambda on AWS, on one of the architectures in `MACHINES`."""
    newest = 34 if int(python.removeprefix("3.")) >= 12 else 26
    systems = [*(f"manylinux_2_{glibc}" for glibc in range(newest, OLDEST_GLIBC, -1)), "manylinux2014"]
    platforms = [f"--platform={system}_{MACHINES[architecture]}" for system in systems]
    return Package(file, python, architecture, (*platforms, f"--python-version={python}", "--implementation=cp"))


def for_this_machine(file: Path) -> Package:
    """A package for the Python that runs this. The embedded local AWS runs functions with it too."""
    architecture = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    return Package(file, f"{sys.version_info.major}.{sys.version_info.minor}", architecture)


def make_package(package: Package, progress: Progress, overlay: Path | None = None) -> None:
    """Make the zip, including the catalogue's ``overlay`` if there is one.

    Installs packages once for each target and lock. Raises `CommandError` when pip cannot install them.
    """
    files = sorted(_files(_dependencies(package, progress), overlay))
    package.file.parent.mkdir(parents=True, exist_ok=True)
    draft = package.file.with_suffix(".new")
    with zipfile.ZipFile(draft, "w") as archive:
        for name, file in files:
            entry = zipfile.ZipInfo(name, PACKED_AT)
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = 0o100644 << 16  # a file that everybody can read
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
    draft.replace(package.file)


def _files(dependencies: Path, overlay: Path | None) -> Iterator[tuple[str, Path]]:
    folders = {"": dependencies} | {f"{name}/": ROOT / name for name in CODE}
    if overlay:
        yield f"{OVERLAY}/catalog.json", overlay
        folders[f"{OVERLAY}/schemas/"] = overlay.parent / "schemas"
    for prefix, folder in folders.items():
        for file in filter(Path.is_file, folder.rglob("*")):
            name = prefix + file.relative_to(folder).as_posix()
            if not _LEFT_OUT.match(name):
                yield name, file


def _dependencies(package: Package, progress: Progress) -> Path:
    """A folder with the lock's packages for where the package will run."""
    key = hashlib.sha256(repr(package.pip_options).encode() + LOCK.read_bytes()).hexdigest()[:16]
    folder = FOLDER / f"{package.runtime}-{package.architecture}-{key}"
    if not folder.is_dir():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with progress.step(f"Installing packages for {package.runtime} on {package.architecture}"):
            draft = Path(tempfile.mkdtemp(dir=FOLDER))
            try:
                _install(package, draft)
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder


def _install(package: Package, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    which = ["--require-hashes", "--only-binary=:all:", *package.pip_options, f"--requirement={LOCK}"]
    answer = subprocess.run([*pip, *which, f"--target={folder}"], capture_output=True, text=True)
    if answer.returncode != 0:
        raise CommandError(
            f"No packages for {package.runtime} on {package.architecture}: {last_line(answer.stderr)} "
            "(some need the newer Amazon Linux: --python 3.12 or later)"
        )


def main() -> int:
    parser = parser_of("scripts.package", ABOUT)
    parser.add_argument("--python", default="3.13", choices=PYTHONS, help="Lambda's Python (3.13)")
    parser.add_argument("--architecture", default="x86_64", choices=MACHINES, help="Lambda's processors (x86_64)")
    parser.add_argument("--overlay", type=Path, metavar="FILE", help="the catalogue's overlay, to pack as well")
    options = parser.parse_args()
    progress, file = Progress(), FOLDER / "lambda.zip"
    make_package(for_lambda(file, options.python, options.architecture), progress, options.overlay)
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    packed = file.read_bytes()
    progress.say(f"✔ {file}: {len(packed) / 1e6:.1f} MB, {unpacked / 1e6:.1f} MB unpacked")
    progress.say(f"  sha256 {hashlib.sha256(packed).hexdigest()}")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
