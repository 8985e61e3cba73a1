"""Examples made from one schema and given to the reader of another: what no rule thought of, they may show.

Always the same ones for the same schema, so a check that passed passes again.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import simplejson
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument, Unsatisfiable
from hypothesis_jsonschema import from_schema

from scripts.contracts.schema import Schema, refusal, validator
from shopflow import jsontext

MAX_EXAMPLES = 40
SIGNIFICANT_DIGITS = 15
"""Of a float: with more, 57 x 0.01 is no multiple of 0.01."""
_MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
"""Not the first and last day: in another time zone they are out of range."""
_AS_SHOPFLOW = _MOMENTS.map(lambda moment: f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z")
_AS_RFC3339 = _MOMENTS.map(lambda moment: moment.isoformat())
"""Instead of the library's own times, which hardly ever have milliseconds and Z, as the contracts' pattern wants."""
_PLAIN_LIST = frozenset({"type", "items", "minItems", "maxItems"})
_PLAIN_OBJECT = frozenset({"type", "properties", "required", "additionalProperties"})


class NoExamples(Exception):
    """No example of a schema could be made."""


def examples(schema: Schema, most: int = MAX_EXAMPLES) -> list[Any]:
    """Up to ``most`` values that ``schema`` allows, as a consumer reads them from JSON. Raises `NoExamples`."""
    made: list[Any] = []

    @settings(
        max_examples=most,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(values(schema))
    def collect(value: Any) -> None:
        made.append(value)

    try:
        collect()
    except (Unsatisfiable, InvalidArgument) as error:  # nothing is valid, or the schema contradicts itself
        raise NoExamples(str(error)) from None
    allowed = validator(schema)
    valid = [value for value in made if refusal(allowed, value) is None]
    if not valid:
        raise NoExamples(f"of {len(made)} values made from it none is valid")
    return valid


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that ``schema`` most likely allows: formats and fractions are approximated, so check them."""
    return _made_of(_plain(schema)).map(_as_read)


def refused_example(written: Schema, read: Schema) -> str | None:
    """The first example of ``written`` that ``read`` refuses, as «path: message». Raises `NoExamples`."""
    checker = validator(read)
    return next(filter(None, (refusal(checker, value) for value in examples(written))), None)


def _made_of(schema: Schema) -> st.SearchStrategy[Any]:
    """Objects and lists are put together here, and only their parts by the library: it starts anew for each object."""
    if isinstance(schema, dict) and schema.keys() <= _PLAIN_LIST and schema.get("type") == "array":
        return st.lists(
            _made_of(schema.get("items", {})), min_size=schema.get("minItems", 0), max_size=schema.get("maxItems")
        )
    if isinstance(schema, dict) and schema.keys() <= _PLAIN_OBJECT and schema.get("additionalProperties") is False:
        fields = {name: _made_of(field) for name, field in schema.get("properties", {}).items()}
        required = set(schema.get("required", []))
        if schema.get("type") == "object" and required <= fields.keys():
            always = {name: field for name, field in fields.items() if name in required}
            sometimes = {name: field for name, field in fields.items() if name not in required}
            return st.fixed_dictionaries(always, optional=sometimes)
    return from_schema(schema, custom_formats={"moment": _AS_SHOPFLOW | _AS_RFC3339})


def _plain(schema: Schema) -> Schema:
    """The schema with floats for decimals, which the library wants, and with the times above."""
    if isinstance(schema, Decimal):
        return float(schema)
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items() if key != "$schema"}
    return plain | {"format": "moment"} if plain.get("format") == "date-time" else plain


def _as_read(value: Any) -> Any:
    return jsontext.loads(simplejson.dumps(_rounded(value), use_decimal=True))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float) and math.isfinite(value):
        return Decimal(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return value
