"""What the flow diagram showed, each moment of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.live import eventually

SCRIPT = Path(__file__).with_name("recording.js")
OFF_THE_LINE = 12
"""SVG units: dots cut the rounded corners."""


@dataclass(frozen=True, slots=True)
class Recording:
    page: Page

    @classmethod
    def start(cls, page: Page) -> Recording:
        """Record each page that ``page`` shows from now on, from its beginning."""
        page.add_init_script(path=SCRIPT)
        return cls(page)

    def dots(self) -> list[dict[str, Any]]:
        """Each place that a dot was at: x, y, colour."""
        return list(self.page.evaluate("() => recording.dots"))

    def strays(self) -> list[dict[str, Any]]:
        """The places that no line and no box of the diagram leads to."""
        return list(self.page.evaluate("most => recording.strays(most)", OFF_THE_LINE))

    def lit(self) -> list[str]:
        """The parts, each time that one lit up."""
        return list(self.page.evaluate("() => recording.lit"))

    def said(self) -> list[tuple[str, str]]:
        """What stood under the services' names: part and text."""
        return [(each["part"], each["text"]) for each in self.page.evaluate("() => recording.said")]

    def wait_until_lit(self, parts: Sequence[str]) -> list[str]:
        return eventually(self.lit, lambda seen: set(parts) <= set(seen))
