"""How heavy and how quick the storefront is: `python -m scripts.page_speed --help`."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.browser import chromium
from scripts.console import OK, CommandError, Progress, run_command
from scripts.infra.stack import answers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

DEFAULT_URL = "http://127.0.0.1:3000"
MAX_VISITS = 100
PATIENCE_MS = 30_000
ABOUT = """\
Open the storefront in Chromium, each time with nothing cached, and measure: bytes over the wire (headers too),
requests, and the time from the navigation to the first contentful paint. Needs a running ShopFlow: make run-all.
"""
FIRST_PAINT = """() => new Promise((resolve) => {
  const tell = (entry) => entry?.name === "first-contentful-paint" && resolve(entry.startTime);
  new PerformanceObserver((list) => list.getEntries().forEach(tell)).observe({ type: "paint", buffered: true });
})"""


@dataclass(frozen=True, slots=True)
class Visit:
    """What one visit took: ``transferred_bytes`` of all requests but the streams, which do not end."""

    transferred_bytes: int
    requests: int
    first_paint_ms: float


def visit(browser: Browser, url: str) -> Visit:
    """Open ``url`` as somebody does who was never there, until all that it consists of has arrived."""
    with browser.new_context() as context:
        return _measured(context, url)


def _measured(context: BrowserContext, url: str) -> Visit:
    page = context.new_page()
    sizes: list[int] = []
    session = context.new_cdp_session(page)

    def finished(event: Mapping[str, Any]) -> None:
        sizes.append(int(event["encodedDataLength"]))

    session.on("Network.loadingFinished", finished)
    session.send("Network.enable")
    page.goto(url, wait_until="load", timeout=PATIENCE_MS)
    page.locator("#who [data-service]").first.wait_for(timeout=PATIENCE_MS)
    page.locator("#products [data-product]").first.wait_for(timeout=PATIENCE_MS)
    return Visit(sum(sizes), len(sizes), float(page.evaluate(FIRST_PAINT)))


def report(visits: list[Visit]) -> str:
    paints = sorted(each.first_paint_ms for each in visits)
    heaviest = max(visits, key=lambda each: each.transferred_bytes)
    return (
        f"transferred {heaviest.transferred_bytes / 1000:.1f} KB in {heaviest.requests} requests\n"
        f"first paint {statistics.median(paints):.0f} ms (median of {len(paints)}; "
        f"{paints[0]:.0f} to {paints[-1]:.0f} ms)"
    )


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.page_speed", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default=DEFAULT_URL, help=f"where the Order Service is (default: {DEFAULT_URL})")
    parser.add_argument("--visits", type=int, default=9, metavar="N", help=f"1 to {MAX_VISITS} (default: 9)")
    options = parser.parse_args(arguments)
    if not 1 <= options.visits <= MAX_VISITS:
        parser.error(f"--visits must be from 1 to {MAX_VISITS}")
    return options


def main() -> int:
    options = parse(sys.argv[1:])
    if not answers(f"{options.url}/health"):
        raise CommandError(f"Nobody answers at {options.url}: start it with 'make run-all', or name it with --url")
    progress = Progress()
    with progress.step(f"Opening {options.url} {options.visits} times"), chromium() as browser:
        visits = [visit(browser, options.url) for _ in range(options.visits)]
    progress.say(report(visits))
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
