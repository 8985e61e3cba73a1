"""The documents name only what exists: links, paths, symbols, tests, commands and figures.

A name counts when it stands in a link or as code. A failure lists every wrong name with its page.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOUR = DOCS / "tour.md"
PAGES_ABOUT_THE_CORE = (TOUR, DOCS / "glossary.md", DOCS / "architecture.md")
FOLDERS = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
FILES = [path for path in ROOT.iterdir() if path.is_file()] + [path for one in FOLDERS for path in one.rglob("*.*")]
SOURCES = [path for path in FILES if path.suffix in (".py", ".tf", ".js") and path != Path(__file__)]
PAGES = [path for path in FILES if path.suffix == ".md"]

PATH = re.compile(r"(?=\w)(\w[\w*.-]*/)*[\w*-]*(/|\.(py|md|tf|tfvars|hcl|json|txt|toml|yml|js|css|html|svg))", re.ASCII)
SYMBOL = re.compile(r"[A-Z]\w*\.\w+|\w+(\.\w+)?\(\)|test_\w+|[A-Z]+(_[A-Z]+)+")
SYMBOL_OF_THE_CORE = re.compile(r"[A-Z]+[a-z]\w*|[A-Z]{4,}|_?[a-z]+(_[a-z]+)+")
CORE_FILES = re.compile(r"^\| (`[^|]+`) \|", re.MULTILINE)
CORE_SIZE = re.compile(r"core is ([\d,]+) lines")
MAKE = re.compile(r"(?:[A-Z_]+=\S* )*make((?: +(?:[a-z][a-z0-9-]*|[A-Z_]+=\S*|-\S+)(?=\s|$))*)")


class Page:
    """A parsed Markdown file: its links, its headings as GitHub names them in links, and what it shows as code."""

    def __init__(self, path: Path, text: str) -> None:
        blocks = MarkdownIt("commonmark").enable("table").parse(text)
        inline = [token for block in blocks for token in block.children or ()]
        titles = [blocks[at + 1].content for at, token in enumerate(blocks) if token.type == "heading_open"]
        targets = [str(token.attrs.get("href") or token.attrs.get("src") or "") for token in inline]
        code = [token.content for token in inline if token.type == "code_inline"]
        fences = [token.content for token in blocks if token.type in ("fence", "code_block")]
        self.path = path
        self.text = text
        self.links = [target for target in targets if target and not urlsplit(target).scheme]
        self.anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
        self.words = [word.rstrip(".,;:") for piece in code for word in piece.split()]
        self.commands = code + [line for fence in fences for line in fence.splitlines()]


@cache
def page(path: Path) -> Page:
    return Page(path, path.read_text())


def wrong_links(source: Page) -> list[str]:
    wrong = []
    for link in source.links:
        address, _, anchor = unquote(link).partition("#")
        target = (source.path.parent / address).resolve() if address else source.path
        if not (target.is_relative_to(ROOT) and target.exists()) or (anchor and anchor not in page(target).anchors):
            wrong.append(link)
    return wrong


def wrong_paths(source: Page) -> list[str]:
    """A name without a folder in it may be that of a file in any folder."""
    paths = [word for word in source.words if PATH.fullmatch(word)]
    return [path for path in paths if not any(ROOT.glob(path)) and not any(file.match(path) for file in FILES)]


def wrong_symbols(source: Page) -> list[str]:
    symbols = [word for word in source.words if SYMBOL.fullmatch(word)]
    if source.path in PAGES_ABOUT_THE_CORE:
        symbols += [word for word in source.words if SYMBOL_OF_THE_CORE.fullmatch(word)]
    return [symbol for symbol in symbols if symbol.removesuffix("()") not in defined()]


@cache
def defined() -> frozenset[str]:
    """Every name that our code defines, members also as ``Class.member``, and every word in capitals in it."""
    names = {path.stem for path in FILES if path.suffix == ".py"}
    for path in SOURCES:
        names.update(re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\b", path.read_text()))
        if path.suffix == ".py":
            names.update(_names_in(ast.parse(path.read_text())))
    return frozenset(names)


def _names_in(node: ast.AST, owner: str = "") -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        name = ast.unparse(child.target) if isinstance(child, ast.AnnAssign) else getattr(child, "name", None)
        if isinstance(name, str):
            yield from (name, f"{owner}.{name}")
        if isinstance(child, ast.ClassDef):
            yield from _names_in(child, child.name)
        elif isinstance(child, ast.Assign):
            yield from map(ast.unparse, child.targets)


def wrong_commands(source: Page) -> list[str]:
    """Modules that do not run by ``python -m``, and targets that are not in the Makefile."""
    named = [name for command in source.commands for name in re.findall(r"python -m ([\w.]+)", command)]
    modules = [name.replace(".", "/") for name in named if (ROOT / name.partition(".")[0]).is_dir()]
    wrong = [one for one in modules if not any((ROOT / path).exists() for path in (f"{one}.py", f"{one}/__main__.py"))]
    rules = re.findall(r"^([a-z][\w .%-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    runs = [match[1].split() for match in map(MAKE.match, source.commands) if match]
    return wrong + [word for run in runs for word in run if word[0].islower() and word not in " ".join(rules).split()]


def wrong_figures(source: Page) -> list[str]:
    """The size of the core is that of the files in the tour's table."""
    files = [
        file
        for row in CORE_FILES.findall(page(TOUR).text)
        for path in re.findall("`(.+?)`", row)
        for file in ROOT.glob(path)
    ]
    lines = sum(len(file.read_text().splitlines()) for file in files)
    sizes = CORE_SIZE.findall(source.text)
    return [f"the core is {lines} lines, not {size}" for size in sizes if abs(int(size.replace(",", "")) - lines) > 100]


def check_pages(find: Callable[[Page], list[str]]) -> None:
    wrong = [f"{path.relative_to(ROOT)}: {name}" for path in PAGES for name in find(page(path))]
    assert not wrong, "\n".join(wrong)


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    check_pages(wrong_links)


def test_every_path_is_there() -> None:
    check_pages(wrong_paths)


def test_every_symbol_test_and_variable_is_defined() -> None:
    check_pages(wrong_symbols)


def test_every_make_target_and_module_is_there() -> None:
    check_pages(wrong_commands)


def test_the_core_is_as_large_as_the_pages_say() -> None:
    assert CORE_SIZE.search(page(ROOT / "README.md").text)
    assert CORE_SIZE.search(page(TOUR).text)
    check_pages(wrong_figures)


def test_every_decision_is_in_the_index_and_the_code_names_no_other() -> None:
    pages = [page(path) for path in sorted((DOCS / "adr").glob("[0-9]*.md"))]
    assert [one.path.name[:4] for one in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    index = re.findall(r"^- \[(.+?)\]\((.+?)\)", page(DOCS / "adr" / "README.md").text, re.MULTILINE)
    assert index == [(one.text.splitlines()[0].removeprefix("# "), one.path.name) for one in pages]
    code = [name for path in SOURCES for name in re.findall(r"docs/adr/(\d{4})", path.read_text())]
    assert set(code) <= {one.path.name[:4] for one in pages}


def test_every_alarm_leads_to_its_section_of_the_runbook() -> None:
    anchors = [name for path in SOURCES for name in re.findall(r"\$\{local\.runbook\}([\w-]+)", path.read_text())]
    assert anchors
    assert set(anchors) <= page(DOCS / "operations.md").anchors
