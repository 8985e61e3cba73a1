"""What is known of the values that a writer writes, from its schema.

Every answer errs on one side only: the writer may write less than it says, never more. So a rule that finds nothing
to refuse in it is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

from scripts.contracts.schema import Schema, refusal, validator

ANYTHING: Schema = {}
NUMBER = frozenset({"integer", "fraction"})
"""JSON Schema's number, as kinds that exclude each other."""
KINDS = NUMBER | {"null", "boolean", "string", "array", "object"}


def kinds_of(schema: Schema) -> frozenset[str]:
    """The kinds of values that the ``type`` of one schema allows."""
    named = schema.get("type", list(KINDS))
    names = frozenset([named] if isinstance(named, str) else named)
    return names | NUMBER if "number" in names else names


@dataclass(frozen=True, slots=True)
class Written:
    """A writer's schema as ``conjuncts``: schemas without ``allOf``, all of which hold for whatever is written."""

    schema: Schema
    conjuncts: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, schema: Schema) -> Written:
        return cls(schema, tuple(_conjuncts(schema)))

    @property
    def kinds(self) -> frozenset[str]:
        return reduce(frozenset.intersection, map(kinds_of, self.conjuncts), KINDS)

    @property
    def values(self) -> list[Any] | None:
        """All values that it can write, if they are listed (``enum``, ``const``) or few (null, booleans); else None."""
        lists = [[value] for value in self.every("const")] + self.every("enum")
        if not lists and self.kinds <= {"null", "boolean"}:
            lists = [[None, False, True]]
        check = validator(self.schema)
        return [value for value in lists[0] if refusal(check, value) is None] if lists else None

    @property
    def required(self) -> frozenset[str]:
        return frozenset(name for names in self.every("required") for name in names)

    @property
    def fields(self) -> dict[str, Schema]:
        """The fields that are named in it, each with the schema of what is written there; none that never is."""
        names = sorted({name for properties in self.every("properties") for name in properties})
        schemas = {name: self.field(name) for name in names}
        return {name: schema for name, schema in schemas.items() if schema is not False}

    def every(self, keyword: str) -> list[Any]:
        """What each conjunct that has ``keyword`` says there."""
        return [conjunct[keyword] for conjunct in self.conjuncts if keyword in conjunct]

    def field(self, name: str) -> Schema:
        """The schema of what is written in the field ``name``; False when it is never written."""
        return _all_of([_field(conjunct, name) for conjunct in self.conjuncts])

    @property
    def unnamed_field(self) -> Schema:
        """The schema of what is written in a field that is not named in it; False when there is no such field."""
        return _all_of([_unnamed_field(conjunct) for conjunct in self.conjuncts])

    @property
    def item(self) -> Schema:
        """The schema of each item of a list."""
        return _all_of([c["items"] for c in self.conjuncts if "items" in c and "prefixItems" not in c])

    @property
    def by_type(self) -> list[Schema]:
        """Schemas of what it writes of each type; together they allow what it does."""
        names = sorted({"number" if kind in NUMBER else kind for kind in self.kinds})
        return [_all_of([{"type": name}, self.schema]) for name in names]

    def branches(self) -> list[Schema] | None:
        """Schemas that together allow what its first ``anyOf`` or ``oneOf`` does; None when it has neither."""
        for number, conjunct in enumerate(self.conjuncts):
            for keyword in conjunct.keys() & {"anyOf", "oneOf"}:
                rest = {key: value for key, value in conjunct.items() if key != keyword}
                others = [*self.conjuncts[:number], rest, *self.conjuncts[number + 1 :]]
                return [_all_of([*others, option]) for option in conjunct[keyword]]
        return None


def _conjuncts(schema: Schema) -> Iterator[dict[str, Any]]:
    if schema is False:
        yield {"type": []}
    elif schema is not True:
        yield {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema.get("allOf", []):
            yield from _conjuncts(part)


def _field(conjunct: dict[str, Any], name: str) -> Schema:
    properties = conjunct.get("properties", {})
    return properties[name] if name in properties else _unnamed_field(conjunct)


def _unnamed_field(conjunct: dict[str, Any]) -> Schema:
    """Where names are matched by patterns, any name may be."""
    return ANYTHING if "patternProperties" in conjunct else conjunct.get("additionalProperties", ANYTHING)


def _all_of(schemas: list[Schema]) -> Schema:
    if any(schema is False for schema in schemas):
        return False
    demanding = [schema for schema in schemas if schema is not True and schema != ANYTHING]
    return {"allOf": demanding} if len(demanding) > 1 else demanding[0] if demanding else ANYTHING
