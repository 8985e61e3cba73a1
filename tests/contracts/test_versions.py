"""Consuming is tolerant of unknown fields of a newer minor version, and of nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

from shopflow import jsontext
from shopflow.catalog import SCHEMAS, load_catalog
from shopflow.contracts import Contracts
from shopflow.errors import ContractBreach

CONTRACTS = Contracts(load_catalog())
Change = Callable[[dict[str, Any]], object]


def _text(*changes: Change) -> str:
    envelope = jsontext.loads((SCHEMAS / "examples/valid/payment.processed.json").read_text())
    for change in changes:
        change(envelope)
    return jsontext.dumps(envelope)


def _version(version: str) -> Change:
    return lambda envelope: envelope.update(version=version)


def _unknown_fields(envelope: dict[str, Any]) -> None:
    envelope["traceId"] = "t-1"
    envelope["payload"]["currency"] = "USD"
    envelope["payload"]["items"][0]["weight"] = 1.5


def test_unknown_fields_of_a_newer_minor_version_are_accepted_and_kept() -> None:
    event = CONTRACTS.decode(_text(_version("1.3"), _unknown_fields))
    assert event.payload["currency"] == "USD"


def test_unknown_fields_of_the_known_version_are_refused() -> None:
    with pytest.raises(ContractBreach, match="is not a known field"):
        CONTRACTS.decode(_text(_unknown_fields))


def test_a_newer_minor_version_must_still_hold_what_is_known() -> None:
    with pytest.raises(ContractBreach, match=r"payload\.chargedAmount"):
        CONTRACTS.decode(_text(_version("1.3"), lambda envelope: envelope["payload"].update(chargedAmount="much")))
    with pytest.raises(ContractBreach, match="transactionId is missing"):
        CONTRACTS.decode(_text(_version("1.3"), lambda envelope: envelope["payload"].pop("transactionId")))


def test_a_new_major_version_is_refused() -> None:
    with pytest.raises(ContractBreach, match="version"):
        CONTRACTS.decode(_text(_version("2.0")))


def test_publishing_is_strict_whatever_the_version() -> None:
    event = CONTRACTS.decode(_text(_version("1.3"), lambda envelope: envelope["payload"].update(currency="USD")))
    with pytest.raises(ContractBreach, match="is not a known field"):
        CONTRACTS.encode(event)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "NaN",
        '{"eventType": NaN}',
        "[" * 200_000,
        '{"a":' * 40_000 + "1" + "}" * 40_000,
        _text().replace("CUST-001", "\\ud800"),
        _text().replace("99.98", "1e400"),
        _text().replace("99.98", "9" * 5000),
        _text().replace("2026-01-31T12:00:00.700Z", "0000-01-31T12:00:00.700Z"),
    ],
    ids=lambda text: text[:20],
)
def test_no_text_makes_the_check_fail_in_another_way(text: str) -> None:
    with pytest.raises(ContractBreach):
        CONTRACTS.decode(text)
