"""The rules never call compatible what an example shows to be refused. (The other way round they may.)"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from scripts.contracts.examples import values
from scripts.contracts.rules import refused
from scripts.contracts.schema import OUT_OF_RANGE, Schema, normal, opened, refusal, same, validator
from tests.contracts.changes import as_read

LEAST_SHOWN = 25
"""So many values must have gone through two schemas that differ, or the test would show little."""

_CHANCE = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def _some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    """A schema with any of these keywords."""
    return st.fixed_dictionaries({}, optional=keywords)


_TEXTS = _some(
    type=st.sampled_from(["string", ["string", "null"]]),
    minLength=st.integers(0, 2),
    maxLength=st.integers(1, 3),
    pattern=st.sampled_from(["^a", "[ab]$"]),
)
_NUMBERS = _some(
    type=st.sampled_from(["integer", "number", ["integer", "null"]]),
    minimum=st.integers(-1, 1),
    exclusiveMinimum=st.integers(-1, 1),
    maximum=st.integers(2, 4),
    exclusiveMaximum=st.integers(2, 4),
    multipleOf=st.sampled_from([0.5, 1, 2]),
)
_OTHERS = st.sampled_from(
    [
        {"type": "string", "format": "date-time"},
        {"const": 1},
        {"const": True},
        {"enum": [1, "a", None]},
        {"enum": [1, 2]},
        {"type": "boolean"},
    ]
)
_LEAVES = _TEXTS | _NUMBERS | _OTHERS
_FIELDS = st.fixed_dictionaries({"a": _LEAVES}, optional={"b": _LEAVES})
_OBJECTS = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": _FIELDS},
    optional={
        "required": st.sampled_from([["a"], ["b"], ["a", "b"]]),
        "additionalProperties": st.sampled_from([False, {"type": "integer"}]),
        "maxProperties": st.integers(1, 3),
        "propertyNames": st.just({"maxLength": 1}),
    },
)
_LISTS = st.fixed_dictionaries(
    {"type": st.just("array"), "items": _LEAVES},
    optional={"minItems": st.integers(0, 1), "maxItems": st.integers(1, 3), "uniqueItems": st.booleans()},
)
_COMBINED = (
    st.builds(lambda one, other: {"anyOf": [one, other]}, _LEAVES, _LEAVES)
    | st.builds(lambda one, other: {**one, "allOf": [other]}, _NUMBERS, _NUMBERS)
    | st.builds(lambda one, other: {**one, "not": other}, _NUMBERS, _NUMBERS)
)
KINDS: dict[str, st.SearchStrategy[Schema]] = {
    "texts": _TEXTS,
    "numbers": _NUMBERS,
    "listed or formatted": _OTHERS,
    "objects": _OBJECTS,
    "lists": _LISTS,
    "combinations": _COMBINED,
    "objects of objects": st.builds(lambda outer, inner: {**outer, "properties": {"a": inner}}, _OBJECTS, _OBJECTS),
}


@st.composite
def variants(draw: st.DrawFn, schema: Schema, like: st.SearchStrategy[Schema]) -> Schema:
    """``schema`` with a keyword, anywhere in it, left out or put as a schema ``like`` it has it."""
    keyword = draw(st.sampled_from([*sorted(schema), None]))
    if keyword is None:
        return {**schema, **draw(like)}
    if keyword == "properties":
        name = draw(st.sampled_from(sorted(schema["properties"])))
        changed = draw(variants(schema["properties"][name], _LEAVES))
        return {**schema, "properties": {**schema["properties"], name: changed}}
    if keyword in ("items", "not"):
        return {**schema, keyword: draw(variants(schema[keyword], _LEAVES))}
    if keyword in ("anyOf", "allOf"):
        first, *others = schema[keyword]
        return {**schema, keyword: [draw(variants(first, _LEAVES)), *others]}
    return {key: value for key, value in schema.items() if key != keyword}


@pytest.mark.parametrize("kind", KINDS)
def test_no_example_is_refused_where_the_rules_find_nothing(kind: str) -> None:
    shown = 0

    @_CHANCE
    @given(st.data())
    def check(data: st.DataObject) -> None:
        nonlocal shown
        one = as_read(data.draw(KINDS[kind], "one"))
        other = as_read(data.draw(variants(one, KINDS[kind]), "other"))
        written, read = data.draw(st.sampled_from([(one, other), (other, one), (other, opened(one))]), "written, read")
        assume(not refused(written, read))
        value = _drawn(data, written)
        assume(refusal(validator(written), value) is None)
        refused_for = refusal(validator(read), value)
        assume(refused_for != OUT_OF_RANGE)  # numbers here are often unbounded, those of the contracts never
        assert refused_for is None
        shown += not same(normal(written), normal(read))

    check()
    assert shown >= LEAST_SHOWN


def _drawn(data: st.DataObject, schema: Schema) -> Any:
    try:
        return data.draw(values(schema), "value")
    except InvalidArgument:  # a schema by chance may contradict itself
        assume(False)
        raise
