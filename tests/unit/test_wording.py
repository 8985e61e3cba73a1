"""Errors use the words of JSON and of people, never those of Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from shopflow import jsontext
from shopflow.catalog import load_catalog
from shopflow.contracts import CompiledSchema, Contracts, load_schemas
from shopflow.errors import InvalidRequest

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
ITEM = '{"productId": "P", "quantity": 1}'
PYTHONS = re.compile(r"(?<!\w)'|\b(None|True|False|Decimal|dict|list|str|int|float|sys|NoneType|\w+Error|codec|char)\b")
REQUESTS = [
    ("{}", "body: customerId is missing"),
    (f'{{"customerId": null, "items": [{ITEM}]}}', "customerId: must be a string"),
    ('{"customerId": "C", "items": []}', "items: must not be empty"),
    (f'{{"customerId": "C", "items": [{", ".join([ITEM] * 51)}]}}', "items: must have at most 50 entries"),
    ('{"customerId": "C", "items": [{"productId": "P", "quantity": true}]}', "items[0].quantity: must be an integer"),
    (f'{{"customerId": "{"x" * 65}", "items": [{ITEM}]}}', "customerId: must have at most 64 characters"),
    (f'{{"customerId": "C", "items": [{ITEM}], "None": 1}}', 'body: "None" is not a known field'),
    (f'{{"customerId": "C", "items": [{ITEM}], "{"x" * 99}": 1}}', f'body: "{"x" * 50}…" is not a known field'),
]


@pytest.mark.parametrize(("text", "message"), REQUESTS)
def test_a_refused_request_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        CONTRACTS.check_request(jsontext.loads(text))
    assert str(refused.value) == message


SCHEMAS = [
    ({"type": ["number", "null"]}, "x", "must be a number or null"),
    ({"enum": ["a", None, True]}, "x", 'must be one of "a", null, true'),
    ({"const": None}, 1, "must be null"),
    ({"const": False}, 1, "must be false"),
    ({"format": "date-time"}, "x", 'must have the form "date-time"'),
    ({"multipleOf": 2, "description": "an even number"}, 3, "must be an even number"),
    ({"uniqueItems": True}, [None, None], "must not have the same entry twice"),
    ({"anyOf": [False, False]}, None, "is not allowed"),
    ({"contains": {"const": None}}, [True], "is not allowed"),
    (False, None, "is not allowed"),
]


@pytest.mark.parametrize(("schema", "value", "message"), SCHEMAS)
def test_a_broken_rule_is_said_in_the_words_of_json(schema: Any, value: Any, message: str) -> None:
    assert CompiledSchema(schema).error(value) == f"body: {message}"


@pytest.mark.parametrize("name", sorted(load_schemas(*CATALOG.folders)))
@pytest.mark.parametrize(
    "value", [None, True, False, [], {}, "", "None", 0, -1, Decimal("1.5"), [None], {"None": None}], ids=repr
)
def test_no_rule_of_any_contract_is_said_in_the_words_of_python(name: str, value: Any) -> None:
    for rules in _every_rule(load_schemas(*CATALOG.folders)[name]):
        error = CompiledSchema(rules).error(value) or ""
        assert not PYTHONS.search(error.replace('"None"', ""))


def _every_rule(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        if "properties" not in schema or "type" in schema:
            yield schema
        for part in schema.values():
            yield from _every_rule(part)
    for part in schema if isinstance(schema, list) else ():
        yield from _every_rule(part)


NO_JSON = [
    (b"", "look at line 1, column 1"),
    (b"{'a': None}", "look at line 1, column 2"),
    (b'{"a": 1,\n "b": \x00}', "look at line 2, column 7"),
    (b'{"a": "\x01"}', "look at line 1, column 8"),
    (b"\xff", "it is not in UTF-8"),
    (b"[" * 100_000, "it is nested too deeply"),
    (b"9" * 5000, "a number has too many digits"),
    (b'{"a": [1e99999999999999999999]}', "a number has too many digits"),
    (b'{"a": "\\ud800"}', "a text has half a surrogate pair"),
    (b'[{"b": {"a": 1, "\\u0061": 2}}]', 'the field "a" is there twice'),
    (b'{"%b": 1, "%b": 2}' % (b"x" * 99, b"x" * 99), f'the field "{"x" * 50}" is there twice'),
]


@pytest.mark.parametrize(("text", "message"), NO_JSON, ids=lambda value: str(value)[:20])
def test_a_text_that_is_not_json_is_refused_in_plain_words(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        jsontext.loads(text)
    assert str(refused.value) == message
    assert not PYTHONS.search(message)


def test_the_same_field_may_be_in_two_objects() -> None:
    assert jsontext.loads('[{"a": 1}, {"a": {"a": 2}}]') == [{"a": 1}, {"a": {"a": 2}}]
