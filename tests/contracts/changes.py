"""Small changes of a small schema, each with the rule that it breaks in either direction."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from shopflow import jsontext

Json = dict[str, Any]
REMOVED = object()


def as_read(schema: Json) -> Json:
    """With decimals for floats, as schemas are read."""
    read: Json = jsontext.loads(jsontext.dumps(schema))
    return read


BASE = as_read(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "count", "status", "lines"],
        "properties": {
            "id": {"type": "string", "pattern": "^[A-Z]{3}$", "maxLength": 3},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "price": {"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.01},
            "ratio": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "status": {"enum": ["NEW", "PAID"]},
            "kind": {"const": "order"},
            "at": {"type": "string", "format": "date-time"},
            "name": {"type": "string", "minLength": 1, "maxLength": 20, "not": {"pattern": "[0-9]"}},
            "note": {"type": ["string", "null"], "maxLength": 20},
            "cause": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
            "code": {"allOf": [{"type": "string", "maxLength": 9}], "pattern": "^a"},
            "text": {"type": "string"},
            "lines": {
                "type": "array",
                "minItems": 1,
                "maxItems": 3,
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["sku"],
                    "properties": {"sku": {"type": "string", "maxLength": 4}, "units": {"type": "integer"}},
                },
            },
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 2},
            "flag": {"type": "boolean"},
        },
    }
)


@dataclass(frozen=True)
class Change:
    """``edits``: a value (or REMOVED) by the path where it goes, from the schema's properties unless it starts at "/".

    ``new_reads_old``, ``old_reads_new``: the rule that refuses in that direction; None: nothing is refused.
    """

    name: str
    edits: Json
    new_reads_old: str | None
    old_reads_new: str | None

    @property
    def changed(self) -> Json:
        schema = copy.deepcopy(BASE)
        for path, value in self.edits.items():
            _put(schema if path.startswith("/") else schema["properties"], path.strip("/").split("/"), value)
        return as_read(schema)


def _put(node: Json, steps: list[str], value: object) -> None:
    *way, last = steps
    for step in way:
        node = node[step]
    if value is REMOVED:
        del node[last]
    else:
        node[last] = value


LINE = "lines/items"
CHANGES = [
    Change("nothing", {}, None, None),
    Change("a description is written", {"id/description": "three letters"}, None, None),
    Change("an optional field is added", {"new": {"type": "string"}}, None, None),
    Change("an optional field is added to a line", {f"{LINE}/properties/new": {"type": "string"}}, None, None),
    Change(
        "a required field is added",
        {"new": {"type": "string"}, "/required": [*BASE["required"], "new"]},
        "required",
        None,
    ),
    Change("an optional field is removed", {"price": REMOVED}, "fields", None),
    Change("an optional field of a line is removed", {f"{LINE}/properties/units": REMOVED}, "fields", None),
    Change(
        "a required field is removed", {"count": REMOVED, "/required": ["id", "status", "lines"]}, "fields", "required"
    ),
    Change("a field is renamed", {"price": REMOVED, "amount": BASE["properties"]["price"]}, "fields", None),
    Change("an optional field becomes required", {"/required": [*BASE["required"], "price"]}, "required", None),
    Change("a field of a line becomes required", {f"{LINE}/required": ["sku", "units"]}, "required", None),
    Change("a required field becomes optional", {"/required": ["id", "status", "lines"]}, None, "required"),
    Change("a field may no longer be anything", {"text": False}, "nothing", None),
    Change("an integer becomes a number", {"count/type": "number"}, None, "type"),
    Change("a number becomes an integer", {"price/type": "integer"}, "type", None),
    Change("a number becomes a text", {"price": {"type": "string"}}, "type", "type"),
    Change("a text may be null", {"text/type": ["string", "null"]}, None, "type"),
    Change("a text may no longer be null", {"note/type": "string"}, "type", None),
    Change("the alternative null goes", {"cause": {"type": "string", "maxLength": 5}}, "values", None),
    Change(
        "another alternative comes",
        {"cause/anyOf": [*BASE["properties"]["cause"]["anyOf"], {"type": "boolean"}]},
        None,
        "values",
    ),
    Change(
        "an alternative is narrowed",
        {"cause/anyOf": [{"type": "string", "maxLength": 4}, {"type": "null"}]},
        "alternatives",
        None,
    ),
    Change(
        "alternatives are written as types",
        {"note": {"anyOf": [{"type": "string", "maxLength": 20}, {"type": "null"}]}},
        None,
        None,
    ),
    Change("an enum gains a value", {"status/enum": ["NEW", "PAID", "LATE"]}, None, "values"),
    Change("an enum loses a value", {"status/enum": ["NEW"]}, "values", None),
    Change("an enum is written in another order", {"status/enum": ["PAID", "NEW"]}, None, None),
    Change("an enum becomes free text", {"status": {"type": "string"}}, None, "values"),
    Change("free text becomes an enum", {"text": {"enum": ["a", "b"]}}, "values", None),
    Change("a constant changes", {"kind/const": "sale"}, "values", "values"),
    Change("a constant becomes an enum of one", {"kind": {"enum": ["order"]}}, None, None),
    Change("a constant true was the constant 1", {"kind/const": True, "flag": {"const": 1}}, "values", "values"),
    Change("a boolean becomes constant", {"flag": {"const": True}}, "values", None),
    Change("a boolean becomes an enum of both", {"flag": {"enum": [True, False]}}, None, None),
    Change("a minimum rises", {"count/minimum": 2}, "bounds", None),
    Change("a minimum falls", {"count/minimum": 0}, None, "bounds"),
    Change("a maximum falls", {"count/maximum": 8}, "bounds", None),
    Change("a maximum rises", {"count/maximum": 10}, None, "bounds"),
    Change("a maximum goes", {"count/maximum": REMOVED}, None, "bounds"),
    Change("a maximum comes", {f"{LINE}/properties/units/maximum": 5}, "bounds", None),
    Change("a bound becomes exclusive", {"ratio": {"type": "number", "minimum": 0, "maximum": 1}}, None, "bounds"),
    Change(
        "a minimum is written as an exclusive one",
        {"count": {"type": "integer", "minimum": 1, "exclusiveMinimum": 0, "maximum": 9}},
        None,
        None,
    ),
    Change("steps become coarser", {"price/multipleOf": 0.1}, "bounds", None),
    Change("steps become finer", {"price/multipleOf": 0.001}, None, "bounds"),
    Change("an integer becomes a multiple of 0.5", {"count/multipleOf": 0.5}, None, None),
    Change("a text becomes shorter", {"note/maxLength": 19}, "bounds", None),
    Change("a text becomes longer", {"note/maxLength": 21}, None, "bounds"),
    Change("a text may be empty", {"name/minLength": 0}, None, "bounds"),
    Change("a text may no longer be empty", {"text/minLength": 1}, "bounds", None),
    Change("a minimum of nothing is written", {"text/minLength": 0}, None, None),
    Change("a shared part is narrowed", {"code/allOf": [{"type": "string", "maxLength": 8}]}, "bounds", None),
    Change("a shared part is written out", {"code": {"type": "string", "maxLength": 9, "pattern": "^a"}}, None, None),
    Change("a list becomes shorter", {"lines/maxItems": 2}, "bounds", None),
    Change("a list may be empty", {"lines/minItems": 0}, None, "bounds"),
    Change("an item is narrowed", {f"{LINE}/properties/sku/maxLength": 3}, "bounds", None),
    Change("an item is widened", {"tags/items": {}}, None, "type"),
    Change("a list wants no item twice", {"tags/uniqueItems": True}, "bounds", None),
    Change("an object may hold fewer fields", {"labels/maxProperties": 1}, "bounds", None),
    Change("a pattern comes", {"text/pattern": "^a"}, "pattern", None),
    Change("a pattern goes", {"id/pattern": REMOVED}, None, "pattern"),
    Change("a pattern changes", {"id/pattern": "^[A-Y]{3}$"}, "pattern", "pattern"),
    Change("a format comes", {"text/format": "date-time"}, "format", None),
    Change("a format goes", {"at/format": REMOVED}, None, "format"),
    Change("more is forbidden", {"name/not": {"anyOf": [{"pattern": "[0-9]"}, {"pattern": "x"}]}}, "forbidden", None),
    Change("nothing is forbidden any longer", {"name/not": REMOVED}, None, "forbidden"),
    Change("unknown fields are allowed", {"/additionalProperties": True}, None, None),
    Change("unknown fields are refused", {"labels/additionalProperties": False}, "nothing", None),
    Change(
        "unknown fields are narrowed",
        {"labels/additionalProperties": {"type": "string", "maxLength": 5}},
        "bounds",
        None,
    ),
    Change("names of fields are limited", {"labels/propertyNames": {"maxLength": 5}}, "keyword", None),
    Change("a field depends on another", {"/dependentRequired": {"price": ["note"]}}, "keyword", None),
    Change(
        "exactly one alternative may fit", {"cause": {"oneOf": BASE["properties"]["cause"]["anyOf"]}}, "keyword", None
    ),
]
