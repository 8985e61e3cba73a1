"""One zip with all services, for Lambda: `python -m scripts.package --help`."""

from __future__ import annotations

import argparse
import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.console import OK, CommandError, Progress, last_line, run_command
from scripts.infra.stack import ROOT

ABOUT = """\
Make the zip that Lambda runs every service from: their code, schemas/, and what requirements/services.lock names.

The same input makes the same bytes: order, times and modes of the files are fixed, and packages are taken by their
hashes. (How well they are compressed is up to the zlib of the Python that runs this; what is in it is not.) Lambda's
own boto3 is not used, since it changes without notice. Of boto3's descriptions of services, nine tenths of its size,
only those that ShopFlow calls are packed.

exit codes: 0 made, 1 the packages could not be had, 2 a wrong argument
"""
LOCK = ROOT / "requirements/services.lock"
FOLDER = ROOT / ".local" / "package"
CODE = ("api", "schemas", "shopflow", "workers")
OVERLAY = "overlay"
"""The folder of the catalogue's overlay (terraform/compute.tf names it too)."""
AWS_SERVICES = ("dynamodb", "sns", "sqs")
"""Those that shopflow.aws has clients of."""
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Lambda's architectures, by what Python's packages call them."""
OLDEST_GLIBC = 17
"""2.17 is that of manylinux2014. Amazon Linux 2, under Python 3.11, has 2.26, and Amazon Linux 2023 has 2.34 (AWS,
Lambda developer guide, "Lambda runtimes"): packages may ask for no newer one."""
PACKED_AT = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can tell."""
READABLE = 0o100644

_LEFT_OUT = re.compile(
    r"bin/|(.*/)?(__pycache__/|\.)|schemas/examples/|[^/]*\.dist-info/(RECORD|INSTALLER|REQUESTED)$"
    rf"|botocore/data/(?!({'|'.join(AWS_SERVICES)})/)[^/]*/"
)
"""Besides what nobody needs, all that tells where and by whom it was installed."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the zip is to run on. ``pip_options`` have pip take packages for it, where that is not this machine."""

    python: str
    architecture: str
    pip_options: tuple[str, ...]

    @property
    def runtime(self) -> str:
        """The name that Lambda has for it."""
        return f"python{self.python}"


def on_lambda(python: str = "3.11", architecture: str = "x86_64") -> Target:
    """AWS's own Lambda, of one of the architectures in `MACHINES`."""
    newest = 34 if int(python.removeprefix("3.")) >= 12 else 26
    systems = [*(f"manylinux_2_{glibc}" for glibc in range(newest, OLDEST_GLIBC, -1)), "manylinux2014"]
    platforms = [f"--platform={system}_{MACHINES[architecture]}" for system in systems]
    return Target(python, architecture, (*platforms, f"--python-version={python}", "--implementation=cp"))


def on_this_machine() -> Target:
    """The Python that runs this, as the embedded local AWS has it run the functions too."""
    architecture = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    return Target(f"{sys.version_info.major}.{sys.version_info.minor}", architecture, ())


@dataclass(frozen=True, slots=True)
class Package:
    """The zip for a target."""

    file: Path
    target: Target


def make_package(package: Package, progress: Progress, overlay: Path | None = None) -> None:
    """Make the zip, with the catalogue ``overlay`` in it if there is one.

    Packages are fetched once for each target and lock. Raises `CommandError` when they cannot be had.
    """
    files = dict(sorted(_files(_dependencies(package.target, progress), overlay)))
    package.file.parent.mkdir(parents=True, exist_ok=True)
    draft = package.file.with_suffix(".new")
    pack(files, draft)
    draft.replace(package.file)


def pack(files: Mapping[str, Path], zip_file: Path) -> None:
    """Write ``files``, by their names in the zip and in this order."""
    with zipfile.ZipFile(zip_file, "w") as archive:
        for name, file in files.items():
            entry = zipfile.ZipInfo(name, PACKED_AT)
            entry.create_system = 3  # Unix, whatever made it
            entry.external_attr = READABLE << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)


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


def _dependencies(target: Target, progress: Progress) -> Path:
    """A folder with the packages of the lock, for the target."""
    key = hashlib.sha256(repr(target).encode() + LOCK.read_bytes()).hexdigest()[:16]
    folder = FOLDER / f"{target.runtime}-{target.architecture}-{key}"
    if not folder.is_dir():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with progress.step(f"Fetching packages for {target.runtime} on {target.architecture}"):
            draft = Path(tempfile.mkdtemp(dir=FOLDER))
            try:
                _install(target, draft)
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder


def _install(target: Target, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    which = ["--require-hashes", "--only-binary=:all:", *target.pip_options, f"--requirement={LOCK}"]
    answer = subprocess.run([*pip, *which, f"--target={folder}"], capture_output=True, text=True)
    if answer.returncode != 0:
        raise CommandError(
            f"No packages for {target.runtime} on {target.architecture}: {last_line(answer.stderr)} "
            "(some need the newer Amazon Linux of --python 3.13)"
        )


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.package", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default="3.11", metavar="3.N", type=_version, help="Lambda's Python (3.11)")
    parser.add_argument("--architecture", default="x86_64", choices=MACHINES, help="Lambda's processors (x86_64)")
    parser.add_argument("--output", type=Path, default=FOLDER / "lambda.zip", metavar="FILE", help="(%(default)s)")
    parser.add_argument("--overlay", type=Path, metavar="FILE", help="the catalogue's overlay, to pack as well")
    return parser.parse_args(arguments)


def _version(text: str) -> str:
    if not re.fullmatch(r"3\.\d+", text):
        raise argparse.ArgumentTypeError(f"{text} is not a version such as 3.11")
    return text


def main() -> int:
    options = parse(sys.argv[1:])
    progress = Progress()
    package = Package(options.output, on_lambda(options.python, options.architecture))
    make_package(package, progress, options.overlay)
    with zipfile.ZipFile(options.output) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    packed = options.output.read_bytes()
    progress.say(f"✔ {options.output}: {len(packed) / 1e6:.1f} MB, {unpacked / 1e6:.1f} MB unpacked")
    progress.say(f"  sha256 {hashlib.sha256(packed).hexdigest()}")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
