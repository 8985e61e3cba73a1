"""Requests with text that no queue accepts, or that no person can see, are refused. Older events still pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shopflow import jsontext
from shopflow.catalog import SCHEMAS, load_catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.text import flaw
from shopflow.errors import ContractBreach, InvalidRequest

CONTRACTS = Contracts(load_catalog())
REQUEST = {"customerId": "CUST-001", "items": [{"productId": "PROD-001", "quantity": 1}]}

UNSENDABLE = ["\ufffe", "\uffff", "\x00", "\x08", "\x0b", "\x1f"]
SURROGATES = ["\ud800", "\udfff"]
"""SQS takes #x9, #xA, #xD, #x20-#xD7FF, #xE000-#xFFFD and #x10000-#x10FFFF (API reference, SendMessage)."""
INVISIBLE = {
    "nothing": "",
    "space": " ",
    "no-break space": "\u00a0",
    "line separator": "\u2028",
    "soft hyphen": "\u00ad",
    "zero-width joiner": "\u200d",
    "right-to-left mark": "\u200f",
    "byte order mark": "\ufeff",
    "Hangul filler": "\u3164",
    "braille pattern blank": "\u2800",
    "combining grapheme joiner": "\u034f",
    "variation selector": "\ufe0f",
    "tag": "\U000e0041",
    "shorthand format control": "\U0001bca0",
    "noncharacter of plane 16": "\U0010ffff",
    "of several kinds": " \u200b\u3164\u2800\ufe0f",
}
VISIBLE = ["C", "CUST-001", "Zoë", "顧客", "עדי", "👩", "a\u200bb", " a", "\ue000", "½", "\u0600", "\U0001f3fb", "-"]


@pytest.mark.parametrize("text", [*UNSENDABLE, *SURROGATES], ids=ascii)
def test_a_character_that_no_queue_takes_is_a_flaw_and_is_named(text: str) -> None:
    found = flaw(f"CUST-{text}-001")
    assert found
    assert f"U+{ord(text):04X}" in found


@pytest.mark.parametrize("text", INVISIBLE.values(), ids=INVISIBLE)
def test_text_with_nothing_visible_in_it_is_a_flaw(text: str) -> None:
    assert flaw(text) == flaw(text * 3) == "must have something visible in it"


@pytest.mark.parametrize("text", VISIBLE, ids=ascii)
def test_text_that_a_person_can_see_has_no_flaw(text: str) -> None:
    assert flaw(text) is None


@pytest.mark.parametrize("text", [*(f"A{text}" for text in UNSENDABLE), *INVISIBLE.values()], ids=ascii)
@pytest.mark.parametrize("field", ["customerId", "productId", "paymentMethod"])
def test_a_request_with_such_text_is_refused_naming_the_field(field: str, text: str) -> None:
    body: Any = jsontext.loads(jsontext.dumps(REQUEST))
    (body["items"][0] if field == "productId" else body)[field] = text
    with pytest.raises(InvalidRequest, match=field):
        CONTRACTS.check_request(body)


@pytest.mark.parametrize("text", SURROGATES, ids=ascii)
def test_a_request_with_half_a_surrogate_pair_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        CONTRACTS.check_request(REQUEST | {"customerId": f"A{text}"})


def test_the_error_names_the_item_and_what_is_wrong() -> None:
    body = REQUEST | {"items": [*REQUEST["items"], {"productId": "P\uffff", "quantity": 1}]}
    with pytest.raises(InvalidRequest) as caught:
        CONTRACTS.check_request(body)
    assert str(caught.value) == "items[1].productId: must not have the character U+FFFF, which no queue takes"


def event(example: str, **payload: Any) -> Event:
    stored = CONTRACTS.decode((SCHEMAS / f"examples/valid/{example}.json").read_text())
    return replace(stored, payload={**stored.payload, **payload})


PUBLISHED = [
    ("order.created", "customerId"),
    ("inventory.failed", "failureReason"),
    ("payment.failed", "failureReason"),
    ("payment.processed", "transactionId"),
]


@pytest.mark.parametrize("text", ["\ufffe", "\uffff", "\ud800"], ids=ascii)
@pytest.mark.parametrize(("example", "field"), PUBLISHED)
def test_an_event_with_text_that_no_queue_takes_is_a_breach_before_it_is_published(
    example: str, field: str, text: str
) -> None:
    with pytest.raises(ContractBreach):
        CONTRACTS.encode(event(example, **{field: f"A{text}"}))


def test_a_product_name_that_no_queue_takes_is_a_breach() -> None:
    items = [dict(event("order.created").payload["items"][0], productName="Hub\uffff")]
    with pytest.raises(ContractBreach, match=r"U\+FFFF"):
        CONTRACTS.encode(event("order.created", items=items))


@pytest.mark.parametrize("text", ["\u200b", "\u3164", "\u2800"], ids=ascii)
def test_invisible_text_that_was_accepted_before_can_still_be_published_and_read(text: str) -> None:
    """Orders that were accepted when this was allowed must finish, and their audit trails must stay readable."""
    old = event("order.created", customerId=text)
    assert CONTRACTS.decode(CONTRACTS.encode(old)) == old
