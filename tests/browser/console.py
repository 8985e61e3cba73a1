"""What the browser complains of."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import Page


@dataclass
class Console:
    """The errors of a page. Chromium writes one for each answer of 400 and above, and for each lost connection."""

    errors: list[str] = field(default_factory=list)
    provoked: list[str] = field(default_factory=list)

    def listen_to(self, page: Page) -> None:
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))

    def expect(self, part: str) -> None:
        """The test provokes errors with this in their text."""
        self.provoked.append(part)

    def unexpected(self) -> list[str]:
        return [text for text in self.errors if not any(part in text for part in self.provoked)]
