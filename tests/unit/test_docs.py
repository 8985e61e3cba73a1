"""What the documentation names is there: files, sections, make targets, modules, tests. And each decision is listed.

A name counts when it stands in a link or as code; prose is free.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "adr"
SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})
SUFFIXES = (".py", ".md", ".tf", ".tfvars", ".hcl", ".json", ".txt", ".toml", ".yml", ".js", ".css", ".html", ".svg")
OUR_MODULES = frozenset({"api", "examples", "scripts", "shopflow", "tests", "workers"})
PARTS_OF_A_DECISION = ("Context.", "Decision.", "Rejected.", "Consequences.", "Where.")

_PATH = re.compile(r"[\w.*{},-]+(/[\w.*{},-]+)*/?", re.ASCII)
_BRACES = re.compile(r"\{([^{}]*)\}")
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")
_TARGET = re.compile(r"[a-z][a-z0-9-]*")
_RULE = re.compile(r"^([a-z][\w .%-]*):(?!=)", re.MULTILINE)
_TEST = re.compile(r"test_[a-z0-9_]+")
_ANCHOR = re.compile(r"""<a\s+(?:id|name)=["']([^"']+)["']""")


def our_files() -> Iterator[Path]:
    """Every file of the project, none of a hidden folder: those hold what was made or installed."""
    for folder, names, files in os.walk(ROOT):
        names[:] = [name for name in names if not name.startswith(".") and name not in SKIPPED_FOLDERS]
        yield from (Path(folder) / name for name in files)


FILES = sorted(our_files())
FILE_NAMES = frozenset(path.name for path in FILES)
PAGES = [path for path in FILES if path.suffix == ".md"]


class Page:
    """A Markdown file, parsed."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        self.text = path.read_text() if text is None else text
        self._blocks = MarkdownIt("commonmark").enable("table").parse(self.text)

    @property
    def links(self) -> list[str]:
        """The targets of links and images that lead to something of this project."""
        targets = [str(token.attrs.get("href") or token.attrs.get("src") or "") for token in self._inline()]
        return [target for target in targets if target and not urlsplit(target).scheme]

    @property
    def anchors(self) -> frozenset[str]:
        """What can stand behind a ``#``: the headings, as GitHub names them, and anchors made by hand."""
        titles = [self._blocks[at + 1] for at, token in enumerate(self._blocks) if token.type == "heading_open"]
        taken: Counter[str] = Counter()
        anchors = set(_ANCHOR.findall(self.text))
        for title in titles:
            words = "".join(child.content for child in title.children or ())
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            anchors.add(f"{slug}-{taken[slug]}" if taken[slug] else slug)
            taken[slug] += 1
        return frozenset(anchors)

    @property
    def code(self) -> list[str]:
        """What stands as code: each inline piece, and each line of a block."""
        pieces = [token.content for token in self._inline() if token.type == "code_inline"]
        blocks = [token.content for token in self._blocks if token.type in ("fence", "code_block")]
        return pieces + [line for block in blocks for line in block.splitlines()]

    @property
    def inline_words(self) -> list[str]:
        """The words of the inline code: in a block a path may be output, or of somebody else's making."""
        return [word for token in self._inline() if token.type == "code_inline" for word in token.content.split()]

    def _inline(self) -> Iterator[Token]:
        for block in self._blocks:
            yield from block.children or ()


@cache
def page(path: Path) -> Page:
    return Page(path)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def dead_links(source: Page) -> list[str]:
    return [link for link in source.links if not _leads_somewhere(source, link)]


def _leads_somewhere(source: Page, link: str) -> bool:
    address, _, anchor = unquote(link).partition("#")
    target = (source.path.parent / address).resolve() if address else source.path
    if not (target.is_relative_to(ROOT) and (target.exists() or target == source.path)):
        return False
    if not anchor:
        return True
    anchors = source.anchors if target == source.path else page(target).anchors if target.suffix == ".md" else ()
    return anchor in anchors


def unknown_paths(source: Page) -> list[str]:
    return [word for word in source.inline_words if not _exists(word.rstrip(".,;:"))]


def _exists(word: str) -> bool:
    """Whether ``word`` is there, or no path of this project.

    A word is one that begins with a folder of the project, or ends as a file of it does; without a folder in it, it
    names a file of any. Hidden files are made on each machine anew.
    """
    path, _, anchor = word.partition("#")
    path = path.partition("::")[0]
    if not _PATH.fullmatch(path) or path.startswith((".", "*.")):
        return True
    if "/" not in path:
        return not path.endswith(SUFFIXES) or path in FILE_NAMES or any(ROOT.glob(path))
    first = path.partition("/")[0]
    if not ((ROOT / first).is_dir() or path.endswith(SUFFIXES)):
        return True
    found = all(any(ROOT.glob(one)) for one in _without_braces(path.rstrip("/")))
    return found and (not anchor or anchor in page(ROOT / path).anchors)


def _without_braces(path: str) -> list[str]:
    """``a/{b,c}.py`` → ``a/b.py``, ``a/c.py``"""
    match = _BRACES.search(path)
    if not match:
        return [path]
    return [
        one
        for choice in match[1].split(",")
        for one in _without_braces(path[: match.start()] + choice + path[match.end() :])
    ]


def unknown_targets(source: Page) -> list[str]:
    named = [target for piece in source.code for target in _make_targets(piece)]
    return [target for target in named if target not in makefile_targets()]


def _make_targets(command: str) -> Iterator[str]:
    """The targets in a command line such as ``CLOUD=localstack make infra-up``."""
    words = iter(command.split())
    for word in words:
        if word == "make":
            break
        if not (_ASSIGNMENT.fullmatch(word) or word in ("$", "-")):
            return
    for word in words:
        if _TARGET.fullmatch(word):
            yield word
        elif not (_ASSIGNMENT.fullmatch(word) or word.startswith("-")):
            return


@cache
def makefile_targets() -> frozenset[str]:
    rules = _RULE.findall((ROOT / "Makefile").read_text())
    return frozenset(target for rule in rules for target in rule.split())


def unknown_modules(source: Page) -> list[str]:
    named = [name for piece in source.code for name in re.findall(r"python -m ([\w.]+)", piece)]
    return [name for name in named if name.partition(".")[0] in OUR_MODULES and not _is_module(name)]


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__main__.py").exists()


def unknown_tests(source: Page) -> list[str]:
    return [word for word in source.inline_words if _TEST.fullmatch(word) and word not in names_of_tests()]


@cache
def names_of_tests() -> frozenset[str]:
    files = [path for path in FILES if path.is_relative_to(ROOT / "tests") and path.suffix == ".py"]
    functions = {name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    return frozenset(functions | {path.stem for path in files})


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_every_link_and_anchor_leads_somewhere(path: Path) -> None:
    assert not dead_links(page(path))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_every_path_in_code_is_there(path: Path) -> None:
    assert not unknown_paths(page(path))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_every_make_target_is_in_the_makefile(path: Path) -> None:
    assert not unknown_targets(page(path))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_every_module_that_is_run_is_there(path: Path) -> None:
    assert not unknown_modules(page(path))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_every_test_that_is_named_is_there(path: Path) -> None:
    assert not unknown_tests(page(path))


def decisions() -> list[Path]:
    return sorted(DECISIONS.glob("[0-9]*.md"))


def test_every_decision_is_in_the_index_under_its_title_in_the_order_of_the_numbers() -> None:
    listed = re.findall(r"^- \[(\d+)\. (.+?)\]\((.+?)\)", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    titles = [page(path).text.partition("\n")[0] for path in decisions()]
    assert [f"# {number}. {title}" for number, title, _ in listed] == titles
    assert [link for _, _, link in listed] == [path.name for path in decisions()]


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name.partition("-")[0]) for path in decisions()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [int(page(path).text.split(".")[0].removeprefix("# ")) for path in decisions()] == numbers


@pytest.mark.parametrize("path", decisions(), ids=_name)
def test_a_decision_says_why_what_was_rejected_and_where_it_is_seen(path: Path) -> None:
    assert tuple(re.findall(r"^\*\*(\w+\.)\*\*", page(path).text, re.MULTILINE)) == PARTS_OF_A_DECISION


WRONG = """# One `title`

# One title

[a](gone.md) [b](#one-title) [c](#one-title-1) [d](#two) [e](../docs/architecture.md#gone) [f](https://x.example/gone)
![g](gone.svg) [h](../../../etc/hosts)

`shopflow/gone.py` `shopflow/aws/{tables,gone}.py` `shopflow/aws/{tables,queues}.py` `docs/*.gone` `docs/*.md` `gone.tf`
`Makefile` `shopflow/aws/` `main.tf` `requirements/*.txt` `gone*.txt` `application/json`
`.env.local` `docs/architecture.md#gone` `no/such.py`

`make gone` `CLOUD=x make infra-up gone-too` make sure `make` `python -m scripts.gone` `python -m pytest`

    make e2e   # make gone
    make gone-as-well ID=1
    python -m scripts.infra

`test_that_was_never_written` `test_docs`
"""


def test_what_is_not_there_is_found() -> None:
    source = Page(ROOT / "docs" / "wrong.md", WRONG)
    assert dead_links(source) == ["gone.md", "#two", "../docs/architecture.md#gone", "gone.svg", "../../../etc/hosts"]
    assert unknown_paths(source) == [
        "shopflow/gone.py",
        "shopflow/aws/{tables,gone}.py",
        "docs/*.gone",
        "gone.tf",
        "gone*.txt",
        "docs/architecture.md#gone",
        "no/such.py",
    ]
    assert unknown_targets(source) == ["gone", "gone-too", "gone-as-well"]
    assert unknown_modules(source) == ["scripts.gone"]
    assert unknown_tests(source) == ["test_that_was_never_written"]


def test_every_alarm_leads_to_its_section_of_the_runbook() -> None:
    files = [path for path in FILES if path.suffix == ".tf"]
    anchors = [name for path in files for name in re.findall(r"\$\{local\.runbook\}([\w-]+)", path.read_text())]
    assert anchors
    assert set(anchors) <= page(ROOT / "docs" / "operations.md").anchors
