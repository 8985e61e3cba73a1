"""A minor version adds optional fields, anything else is a new major version: against every released version."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from scripts.contracts.__main__ import check
from scripts.contracts.released import Contract, Version, differences, load_contracts, normal, problem
from scripts.infra.stack import ROOT
from shopflow.errors import ConfigError

Json = dict[str, Any]
ABSENT = object()

SCHEMA: Json = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "lines"],
    "properties": {
        "id": {"type": "string", "pattern": "^[A-Z]{3}$", "maxLength": 3},
        "status": {"enum": ["NEW", "PAID"]},
        "flag": {"const": 1},
        "lines": {
            "type": "array",
            "maxItems": 3,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["sku"],
                "properties": {"sku": {"type": "string"}, "units": {"type": "integer", "maximum": 9}},
            },
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}, "properties": {}},
        "few": {"type": "object", "additionalProperties": False, "maxProperties": 1, "properties": {}},
    },
}
TEXT = {"type": "string"}


def changed(schema: Json, *edits: tuple[str, object]) -> Json:
    """``schema`` with a value (or ABSENT) at each path of keywords and names."""
    result = copy.deepcopy(schema)
    for path, value in edits:
        *way, last = path.split("/")
        node = result
        for step in way:
            node = node[step]
        if value is ABSENT:
            del node[last]
        else:
            node[last] = value
    return result


def contract(schema: Json, version: str, released: dict[str, Json], folder: Path = Path()) -> Contract:
    versions = {Version.parse(text): normal(one) for text, one in released.items()}
    return Contract("order.created", Version.parse(version), normal(schema), "catalog.json", folder, versions)


def verdict(schema: Json, version: str, released: dict[str, Json]) -> str:
    return problem(contract(schema, version, released)) or "allowed"


IN_A_LINE = "properties/lines/items/properties"


@pytest.mark.parametrize("where", ["properties", IN_A_LINE])
def test_a_minor_version_may_add_optional_fields(where: str) -> None:
    grown = changed(SCHEMA, (f"{where}/note", {"type": "object", "required": ["a"], "properties": {"a": TEXT}}))
    assert verdict(grown, "1.1", {"1.0": SCHEMA}) == "allowed"
    assert "is new, unlike in the released 1.0: raise the version" in verdict(grown, "1.0", {"1.0": SCHEMA})


REFUSED: list[tuple[list[tuple[str, object]], str]] = [
    ([("properties/note", TEXT), ("required", ["id", "lines", "note"])], "note: is new"),
    ([("required", ["id"])], 'the message: required was ["id", "lines"] and is ["id"]'),
    ([("additionalProperties", True)], "the message: additionalProperties was false and is true"),
    ([(f"{IN_A_LINE}/units", ABSENT)], "lines[].units: is gone"),
    ([("properties/id/maxLength", 4)], "id: maxLength was 3 and is 4"),
    ([("properties/id", False)], "id: was {"),
    ([("properties/flag/const", True)], "flag: const was 1 and is true"),
    ([(f"{IN_A_LINE}/units/maximum", 10)], "lines[].units: maximum was 9 and is 10"),
    ([("properties/labels/properties/note", TEXT)], "labels.note: is new"),
    ([("properties/few/properties/note", TEXT)], "few.note: is new"),
]


@pytest.mark.parametrize(("edits", "what"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_any_other_change_needs_a_new_major_version(edits: list[tuple[str, object]], what: str) -> None:
    other = changed(SCHEMA, *edits)
    said = verdict(other, "1.1", {"1.0": SCHEMA})
    assert said.startswith(what)
    assert said.endswith("keep it as it was, or raise the version of order.created in catalog.json to 2.0")
    assert verdict(other, "2.0", {"1.0": SCHEMA}) == "allowed"


def test_words_and_order_are_no_change() -> None:
    reworded = changed(
        SCHEMA,
        ("description", "for people"),
        ("properties/id/title", "for people"),
        ("required", ["lines", "id"]),
        ("properties/status/enum", ["PAID", "NEW"]),
        ("properties/flag", {"allOf": [{"const": 1}], "description": "a reference with words beside it"}),
    )
    assert verdict(reworded, "1.0", {"1.0": SCHEMA}) == "allowed"


def test_every_released_version_of_the_major_version_counts() -> None:
    with_note = changed(SCHEMA, ("properties/note", TEXT))
    another_note = changed(SCHEMA, ("properties/note", {"type": "integer"}))
    said = verdict(another_note, "1.2", {"1.0": SCHEMA, "1.1": with_note})
    assert said.startswith('note: type was "string" and is "integer", unlike in the released 1.1')
    assert verdict(another_note, "2.0", {"1.0": SCHEMA, "1.1": with_note}) == "allowed"


def test_a_version_never_goes_back() -> None:
    said = verdict(SCHEMA, "1.9", {"1.9": SCHEMA, "1.10": SCHEMA})
    assert said == "1.10 is released already: raise the version of order.created in catalog.json to 1.10"


def every_place(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container within ``node`` with each of its keys."""
    keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in list(keys):
        yield node, key
        yield from every_place(node[key])


def test_nothing_can_be_taken_from_a_released_contract_unnoticed() -> None:
    for each in load_contracts(ROOT):
        schema = copy.deepcopy(each.schema)
        for container, key in every_place(schema):
            kept = copy.copy(container)
            del container[key]
            assert any(not one.optional for one in differences(each.schema, normal(schema))), (container, key)
            container.clear()
            container.update(kept) if isinstance(kept, dict) else container.extend(kept)


class Source:
    """A copy of the source tree, as far as contracts are concerned."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("schemas", "examples", "api"):
            shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("*.py", "static"))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    def check(self, release: bool = False) -> tuple[int, list[str]]:
        """The exit code, and the lines about contracts that are wrong."""
        out = StringIO()
        code = check(self.root, Console(file=out, width=200, markup=False), release)
        return code, [line for line in out.getvalue().splitlines() if line.startswith("✘")]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


FIELD = '"properties": {"bank": {"type": "string", "maxLength": 20},'


def test_a_new_field_needs_a_new_minor_version_which_is_then_released(source: Source) -> None:
    source.edit("schemas/events/payment.failed.schema.json", '"properties": {', FIELD)
    code, [wrong] = source.check()
    assert (code, wrong) == (
        1,
        "✘ payment.failed 1.0: payload.bank: is new, unlike in the released 1.0: "
        "raise the version of payment.failed in schemas/catalog.json to 1.1.",
    )
    of_payment = '"payment", "version": "{}", "status": "PAYMENT_FAILED"'
    source.edit("schemas/catalog.json", of_payment.format("1.0"), of_payment.format("1.1"))
    code, [wrong] = source.check()
    assert "payment.failed 1.1: is not released: run 'python -m scripts.contracts release'" in wrong
    assert source.check(release=True) == (0, [])
    assert (source.root / "schemas/released/payment.failed/1.1.json").is_file()
    assert source.check() == (0, [])


def test_a_removed_event_is_named(source: Source) -> None:
    source.edit("schemas/catalog.json", '"inventory.released"', '"inventory.returned"')
    (source.root / "schemas/events/inventory.released.schema.json").rename(
        source.root / "schemas/events/inventory.returned.schema.json"
    )
    with pytest.raises(ConfigError, match=r"^inventory\.released: removed, but the audit log keeps such events"):
        source.check()
