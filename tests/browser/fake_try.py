"""The paths under /try as their contract says, answered in the browser: for what the real experiments cannot show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext, Route

TITLES = (
    "A slow payment provider does not slow the shop",
    "A crash of Notification loses nothing",
    "A new service changes no existing one",
    "Two customers race for the last item",
    "The history of an order cannot be changed",
    "Inventory can be scaled alone",
    "A failed order can be explained",
)
SERVICES = ("order", "inventory", "payment", "notification", "audit")


@dataclass
class FakeTry:
    """``messages`` are sent when the page connects to the stream the next time: each connection ends at once.

    ``refusals`` maps a path to a status and an error. ``asked`` has the paths of all POSTs.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    stopped: Mapping[str, str] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    claim: int | None = None

    def answer(self, context: BrowserContext) -> None:
        context.route("**/try/*", self._get)
        context.route("**/try/*/**", self._post)

    def state(self) -> dict[str, Any]:
        services = {name: {"pids": [1], "state": self.stopped.get(name, "running")} for name in SERVICES}
        return {"services": services, "faults": self.faults, "claim": self.claim}

    def _get(self, route: Route) -> None:
        if "/try/stream" in route.request.url:
            sent, self.messages = [{"type": "state", **self.state()}, *self.messages], []
            body = "".join(f"data: {json.dumps(message)}\n\n" for message in sent)
            route.fulfill(content_type="text/event-stream", body=body)
        elif route.request.url.endswith("/try/state"):
            claims = [
                {"id": i, "title": title, "problem": "It could get lost.", "experiment": "We try it.", "seconds": 20}
                for i, title in enumerate(TITLES, 1)
            ]
            route.fulfill(json={"claims": claims, "invariants": [], **self.state()})
        else:
            route.continue_()

    def _post(self, route: Route) -> None:
        path = route.request.url.partition("/try/")[2]
        self.asked.append(path)
        status, error = self.refusals.get(path, (202, ""))
        route.fulfill(status=status, json={"error": error} if error else {})
