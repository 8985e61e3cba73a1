"""jsonschema-rs, which the services use, and jsonschema, the reference, accept the same values."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, TypeChecker
from jsonschema.validators import extend

from shopflow import jsontext
from shopflow.catalog import SCHEMAS
from shopflow.contracts import CompiledSchema, load_schemas


def _is_integer(_: TypeChecker, value: Any) -> bool:
    """In JSON Schema, 2.0 is an integer. jsonschema does not know `Decimal`."""
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


Reference = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
)
CONTRACTS = {name: schema for name, schema in load_schemas(SCHEMAS).items() if name != "common"}
OURS = {name: CompiledSchema(schema) for name, schema in CONTRACTS.items()}
REFERENCE = {
    name: Reference(schema, format_checker=Draft202012Validator.FORMAT_CHECKER) for name, schema in CONTRACTS.items()
}

EDGES = (
    *(Decimal("2.0"), Decimal("1E+3"), Decimal("0.00"), Decimal("-0.0"), Decimal("1e-20"), 10**20),
    *("ORD-A1B2C3D4", "ORD-A1B2C3D4\n", "pm_card_visa", "pm_card\n", "\u00a0", "x" * 201, "1.0", "1.0\n", "\u0130"),
    *("2026-01-31T12:00:00.000Z", "2026-02-30T12:00:00.000Z", "2024-02-29T12:00:00.000Z", "2026-01-31T24:00:00.000Z"),
    *("2026-01-31T23:59:60.000Z", "2026-01-31T12:00:00.000z", "2026-01-31T12:00:00.000Z\n", "٢٠٢٦-01-31T12:00:00.000Z"),
)
SCALARS = st.one_of(
    st.sampled_from(EDGES),
    st.none() | st.booleans() | st.integers(-5, 2000) | st.decimals(-10, 10**13, places=3),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


def valid(name: str) -> Any:
    """A valid value of the schema of that name."""
    if name == "envelope":
        return jsontext.loads((SCHEMAS / "examples/valid/order.created.json").read_text())
    document = jsontext.loads((SCHEMAS / f"examples/valid/{name}.json").read_text())
    return document if name == "place-order" else document["payload"]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container within ``value`` with each of its keys."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from places(value[key])


@st.composite
def mutated(draw: st.DrawFn, name: str) -> Any:
    """A valid value with up to three changes: a place replaced or removed."""
    value = copy.deepcopy(valid(name))
    for _ in range(draw(st.integers(0, 3))):
        if found := list(places(value)):
            container, key = draw(st.sampled_from(found))
            if draw(st.booleans()):
                container[key] = draw(VALUES)
            else:
                del container[key]
    return value


def agree(name: str, value: Any) -> None:
    assert (OURS[name].error(value) is None) is REFERENCE[name].is_valid(value)


@pytest.mark.parametrize("name", CONTRACTS)
def test_both_accept_a_valid_value_and_say_the_same_of_a_mutated_one(name: str) -> None:
    @settings(max_examples=60, derandomize=True, deadline=None, database=None)
    @given(mutated(name))
    def agree_on(value: Any) -> None:
        agree(name, value)

    assert OURS[name].error(valid(name)) is None
    agree_on()


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(st.sampled_from(sorted(CONTRACTS)), VALUES)
@example("place-order", {"customerId": "C", "items": [{"productId": "P", "quantity": Decimal("2.0")}]})
def test_both_say_the_same_of_any_value(name: str, value: Any) -> None:
    agree(name, value)
