"""Text that is refused, and in which words: those of JSON and of people, never those of Python."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from shopflow import jsontext
from shopflow.catalog import SCHEMAS, load_catalog
from shopflow.contracts import CompiledSchema, Contracts
from shopflow.domain.event import Event
from shopflow.domain.text import flaw
from shopflow.errors import ContractBreach, InvalidRequest

CONTRACTS = Contracts(load_catalog())
PYTHONS = re.compile(r"(?<!\w)'|\b(None|True|False|Decimal|dict|list|str|int|float|sys|NoneType|\w+Error|codec|char)\b")
REQUEST = '{"customerId": "CUST-001", "items": [{"productId": "PROD-001", "quantity": 1}]}'

UNSENDABLE = ["\ufffe", "\uffff", "\x00", "\x08", "\x0b", "\x1f", "\ud800", "\udfff"]
"""SQS takes #x9, #xA, #xD, #x20-#xD7FF, #xE000-#xFFFD and #x10000-#x10FFFF (API reference, SendMessage)."""
INVISIBLE = ["", *" \u00a0\u2028\u00ad\u200d\ufeff\u3164\u2800\ufe0f\U000e0041\U0010ffff", " \u200b\u3164\u2800\ufe0f"]
VISIBLE = ["C", "CUST-001", "Zoë", "顧客", "עדי", "👩", "a\u200bb", " a", "\ue000", "½", "\u0600", "\U0001f3fb", "-"]


def test_a_text_has_a_flaw_if_no_queue_takes_it_or_nobody_can_see_it() -> None:
    for text in UNSENDABLE:
        assert f"U+{ord(text):04X}" in (flaw(f"CUST-{text}-001") or "")
    for text in INVISIBLE:
        assert flaw(text) == flaw(text * 3) == "must have something visible in it"
    assert [text for text in VISIBLE if flaw(text)] == []


@pytest.mark.parametrize("field", ["customerId", "productId", "paymentMethod"])
def test_a_request_with_such_text_is_refused_naming_the_field(field: str) -> None:
    for text in [*(f"A{text}" for text in UNSENDABLE), *INVISIBLE]:
        body: Any = jsontext.loads(REQUEST)
        (body["items"][0] if field == "productId" else body)[field] = text
        with pytest.raises(InvalidRequest, match=rf"{field}|body: a value is out of range"):  # of half a surrogate pair
            CONTRACTS.check_request(body)


def event(example: str, **payload: Any) -> Event:
    stored = CONTRACTS.decode((SCHEMAS / f"examples/valid/{example}.json").read_text())
    return replace(stored, payload={**stored.payload, **payload})


@pytest.mark.parametrize(
    ("example", "field"),
    [
        ("order.created", "customerId"),
        ("inventory.failed", "failureReason"),
        ("payment.failed", "failureReason"),
        ("payment.processed", "transactionId"),
    ],
)
def test_an_event_with_text_that_no_queue_takes_is_a_breach_before_it_is_published(example: str, field: str) -> None:
    for text in ("A\ufffe", "A\uffff", "A\ud800"):
        with pytest.raises(ContractBreach):
            CONTRACTS.encode(event(example, **{field: text}))


def test_invisible_text_that_was_accepted_before_can_still_be_published_and_read() -> None:
    """Orders that were accepted when this was allowed must finish, and their audit trails must stay readable."""
    for text in ("\u200b", "\u3164", "\u2800"):
        old = event("order.created", customerId=text)
        assert CONTRACTS.decode(CONTRACTS.encode(old)) == old


ITEM = '{"productId": "P", "quantity": 1}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "body: customerId is missing"),
        (f'{{"customerId": null, "items": [{ITEM}]}}', "customerId: must be a string"),
        ('{"customerId": "C", "items": []}', "items: must not be empty"),
        (f'{{"customerId": "C", "items": [{", ".join([ITEM] * 51)}]}}', "items: must have at most 50 entries"),
        (f'{{"customerId": "C", "items": [{ITEM.replace("1", "true")}]}}', "items[0].quantity: must be an integer"),
        (f'{{"customerId": "{"x" * 65}", "items": [{ITEM}]}}', "customerId: must have at most 64 characters"),
        (f'{{"customerId": "C", "items": [{ITEM}], "None": 1}}', 'body: "None" is not a known field'),
        (f'{{"customerId": "C", "items": [{ITEM}], "{"x" * 99}": 1}}', f'body: "{"x" * 50}…" is not a known field'),
    ],
)
def test_a_refused_request_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        CONTRACTS.check_request(jsontext.loads(text))
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": ["number", "object"]}, "x", "must be a number or an object"),
        ({"const": None}, 1, "must be null"),
        ({"format": "date-time"}, "x", 'must have the form "date-time"'),
        ({"multipleOf": 2, "description": "an even number"}, 3, "must be an even number"),
        ({"uniqueItems": True}, [None, None], "breaks the rule uniqueItems"),
    ],
)
def test_a_broken_rule_is_said_in_the_words_of_json(schema: Any, value: Any, message: str) -> None:
    assert CompiledSchema(schema).error(value) == f"body: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "look at line 1, column 1"),
        (b"{'a': None}", "look at line 1, column 2"),
        (b'{"a": 1,\n "b": \x00}', "look at line 2, column 7"),
        (b"\xff", "it is not in UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"9" * 5000, "a number has too many digits"),
        (b'{"a": [1e99999999999999999999]}', "a number has too many digits"),
        (b'{"a": "\\ud800"}', "a text has half a surrogate pair"),
        (b'[{"b": {"a": 1, "\\u0061": 2}}]', 'the field "a" is there twice'),
        (b'{"%b": 1, "%b": 2}' % (b"x" * 99, b"x" * 99), f'the field "{"x" * 50}" is there twice'),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_text_that_is_not_json_is_refused_in_plain_words(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        jsontext.loads(text)
    assert str(refused.value) == message
    assert not PYTHONS.search(message)
