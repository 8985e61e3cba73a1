"""Messages that no service can ever process."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from shopflow.catalog import SCHEMAS
from tests.system import CATALOG

_EXAMPLES: Mapping[str, str] = {
    event_type: (SCHEMAS / "examples" / "valid" / f"{event_type}.json").read_text() for event_type in CATALOG.events
}


def poison_for(service: str, rand: random.Random) -> str:
    """One such message for the queue of ``service``. Two of them are hardly ever the same."""
    consumes = sorted(CATALOG.services[service].consumes)
    text = _EXAMPLES[rand.choice(consumes)]
    kinds: list[Callable[[], str]] = [
        lambda: '{"not json": ',
        lambda: text.replace('"eventType": "', '"eventType": "never.'),
        lambda: text.replace('"version": "1.', '"version": "9.'),
        lambda: text.replace('"orderId"', '"orderID"'),
    ]
    if service != "audit":  # which knows no orders
        kinds.append(lambda: text)
    return rand.choice(kinds)() + " " * rand.randrange(1000)


def misrouted_for(service: str, rand: random.Random) -> str | None:
    """An event as an old filter policy lets through: sound, but not one that ``service`` consumes. None for audit."""
    others = sorted(CATALOG.events.keys() - CATALOG.services[service].consumes)
    return _EXAMPLES[rand.choice(others)] if others else None
