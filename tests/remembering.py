"""Contracts for tests that process the same few texts a thousand times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shopflow import jsontext
from shopflow.catalog import Catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event

MAX_REMEMBERED = 10_000


class RememberingContracts(Contracts):
    """The contracts, with a cache of the texts that have passed: their answer never changes.

    Without it, validation takes most of the time of a run over the twins.
    """

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self._decoded: dict[str, Event] = {}
        self._passed: dict[str, None] = {}

    def decode(self, text: str) -> Event:
        if text not in self._decoded:
            _make_room(self._decoded)
            self._decoded[text] = super().decode(text)
        return self._decoded[text]

    def encode(self, event: Event) -> str:
        text = jsontext.dumps(event.to_json())
        self._once(text, super().encode, event)
        return text

    def check_request(self, body: Any) -> None:
        self._once(f"request {jsontext.dumps(body)}", super().check_request, body)

    def _once(self, text: str, check: Callable[[Any], object], value: Any) -> None:
        if text not in self._passed:
            check(value)
            _make_room(self._passed)
            self._passed[text] = None


def _make_room(remembered: dict[str, Any]) -> None:
    if len(remembered) >= MAX_REMEMBERED:
        remembered.clear()
