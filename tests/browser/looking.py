"""What can be asked of any page."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

MAX_TABS = 200
SERIOUS = ("serious", "critical")
FOCUSED = "() => (document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element of that name, or with that text, has the focus."""
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == name:
            return
    raise AssertionError(f"{MAX_TABS} Tabs did not reach {name!r}")


def findings(page: Page) -> list[str]:
    """What axe-core finds serious or critical, and where."""
    return [
        f"{finding['id']}: {', '.join(str(node['target']) for node in finding['nodes'])}"
        for finding in Axe().run(page).response["violations"]
        if finding["impact"] in SERIOUS
    ]


def sideways(page: Page) -> list[str]:
    """How much wider the page is than the window, and what sticks out."""
    return list(
        page.evaluate(
            """() => {
              const width = document.documentElement.clientWidth;
              const all = document.documentElement.scrollWidth;
              if (all <= width) return [];
              const out = [...document.querySelectorAll("body *")]
                .filter((each) => each.getBoundingClientRect().right > width + 0.5);
              return [`${all} px`, ...out.map((each) => `${each.tagName}#${each.id}`)];
            }"""
        )
    )
