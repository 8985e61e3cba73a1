"""The page "Try to break it" beside `make run-all`: real processes are killed, and real experiments hold.

What these cannot show, such as a claim that does not hold, `FakeTry` shows.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from scripts.claims import CLAIMS, Claim
from tests.browser.pages import TOKEN, Console, check_for_everybody, tab_to, try_to_break_it
from tests.live import VISA
from tests.sizes import full

KILLED = "killed notification"
QUICK_CLAIMS = (2, 4, 5)
SERVICES = ("order", "inventory", "payment", "notification", "audit")


def test_a_message_waits_while_its_service_is_dead_and_is_taken_when_it_is_back(trying: Page) -> None:
    queue = trying.locator('[data-part="queue:notification"]')
    service = trying.locator("#services [data-service=notification]")
    try_to_break_it(trying)
    trying.locator("#simulate-outcome").select_option(VISA)
    trying.get_by_role("button", name="Kill Notification").click()
    expect(service.locator(".state")).to_have_text("is stopped")
    expect(trying.locator("#faults")).to_contain_text(KILLED)
    trying.locator("#simulate").click()
    expect(queue).to_have_attribute("data-depth", "1")
    expect(service.locator(".depth")).to_contain_text("1 waiting")
    check_for_everybody(trying)
    trying.get_by_role("button", name="Restart Notification").click()
    expect(queue).to_have_attribute("data-depth", "0")
    expect(service.locator(".state")).to_have_text("runs")
    expect(trying.locator("#faults")).to_be_hidden()
    expect(trying.locator("#lights li").first).to_have_text("Every order comes to an end.holds")


@pytest.mark.parametrize(
    "claim",
    [pytest.param(claim, id=claim.title, marks=() if claim.id in QUICK_CLAIMS else full) for claim in CLAIMS],
)
def test_the_experiment_of_a_card_runs_and_holds(trying: Page, claim: Claim) -> None:
    try_to_break_it(trying)
    card = trying.locator(f"#claims [data-claim='{claim.id}']")
    expect(card.get_by_role("heading")).to_have_text(claim.title)
    trying.get_by_role("button", name=f"Run experiment {claim.id}").click()
    expect(card.locator(".verdict")).to_contain_text("It holds.", timeout=5000 * claim.seconds)
    expect(card.locator(".steps li")).not_to_have_count(0)
    expect(card.locator(".evidence div")).not_to_have_count(0)
    check_for_everybody(trying)


def test_without_the_operators_session_nothing_is_shown(trying: Page) -> None:
    asked: list[str] = []
    trying.on("request", lambda request: asked.append(request.url))
    trying.goto("/")
    expect(trying.locator("#products [data-product]")).not_to_have_count(0)
    expect(trying.locator("#try-link")).to_be_hidden()
    assert not [url for url in asked if "/try" in url]
    trying.goto("/try")
    expect(trying.locator("#token")).to_be_visible()
    trying.locator("#token").fill(TOKEN)
    trying.locator("#sign-in").click()
    expect(trying.locator("#claims [data-claim]")).to_have_count(len(CLAIMS))


@dataclass
class FakeTry:
    """The paths under /try, answered in the browser.

    ``messages`` are sent when the page connects to the stream the next time: each connection ends at once.
    ``refusals`` maps a path to a status and an error. ``asked`` has the paths of all POSTs.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    states: Mapping[str, str] = field(default_factory=dict)
    refusals: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    claim: int | None = None

    def answer(self, route: Route) -> None:
        path = route.request.url.partition("/try/")[2].partition("?")[0]
        services = {name: {"state": self.states.get(name, "running")} for name in SERVICES}
        state = {"services": services, "faults": self.faults, "claim": self.claim}
        if route.request.method == "POST":
            self.asked.append(path)
            status, error = self.refusals.get(path, (202, ""))
            route.fulfill(status=status, json={"error": error} if error else {})
        elif path == "stream":
            sent, self.messages = [{"type": "state", **state}, *self.messages], []
            body = "".join(f"data: {json.dumps(message)}\n\n" for message in sent)
            route.fulfill(content_type="text/event-stream", body=body)
        else:
            fields = {"title": "A claim", "problem": "It could get lost.", "experiment": "We try it.", "seconds": 20}
            claims = [{"id": number, **fields} for number in range(1, 8)]
            route.fulfill(json={"claims": claims, "invariants": [], **state})


@pytest.fixture
def fake(trying: Page) -> FakeTry:
    made = FakeTry()
    trying.context.route("**/try/**", made.answer)
    return made


@pytest.mark.parametrize(("claim", "holds", "verdict"), [(1, True, "It holds."), (7, False, "It does not hold.")])
def test_a_card_runs_its_experiment_with_the_keyboard_and_shows_what_was_seen(
    trying: Page, fake: FakeTry, claim: int, holds: bool, verdict: str
) -> None:
    card = trying.locator(f"#claims [data-claim='{claim}']")
    try_to_break_it(trying)
    tab_to(trying, f"Run experiment {claim}")
    trying.keyboard.press("Enter")
    fake.messages = [
        {"type": "step", "claim": claim, "text": "Something breaks.", "at": 1764000000000},
        {"type": "evidence", "claim": claim, "name": "orders lost", "value": 0},
    ]
    expect(card.locator(".evidence dd")).to_have_text("0")
    fake.claim = claim
    expect(card.locator("progress")).to_be_visible()
    expect(trying.get_by_role("button", name="Run experiment 2")).to_be_disabled()
    fake.messages = [{"type": "step", "claim": claim, "text": "We repair it.", "at": 1764000001000}]
    expect(trying.locator("#now")).to_have_text("We repair it.")
    expect(card.locator(".steps li")).to_contain_text(["Something breaks.", "We repair it."])
    fake.messages = [{"type": "verdict", "claim": claim, "holds": holds, "text": "All were counted."}]
    fake.claim = None
    expect(card.locator(".verdict")).to_have_text(f"{verdict} All were counted.")
    expect(card.locator("progress")).to_be_hidden()
    expect(trying.locator("#now")).to_have_text("All services run.")
    assert fake.asked == [f"claims/{claim}"]


def test_a_result_that_was_missed_is_not_shown_as_one(trying: Page, fake: FakeTry) -> None:
    fake.claim = 2
    try_to_break_it(trying)
    card = trying.locator("#claims [data-claim='2']")
    expect(card.locator("progress")).to_be_visible()
    fake.claim = None
    expect(card.locator(".verdict")).to_have_text("It ended without a result. Run it again.")


def test_what_the_server_refuses_is_said_and_an_ended_session_leads_to_the_sign_in(
    trying: Page, fake: FakeTry, console: Console
) -> None:
    console.expect("409 (Conflict)")
    fake.refusals = {"claims/3": (409, "claim 2 is running"), "faults/twice": (401, "sign in first")}
    try_to_break_it(trying)
    trying.get_by_role("button", name="Run experiment 3").click()
    expect(trying.locator("#try-problem")).to_have_text("That was not done: claim 2 is running.")
    trying.context.clear_cookies()
    trying.get_by_role("button", name="Deliver every event twice").click()
    expect(trying.locator("#token")).to_be_visible()


def test_lights_and_services_show_what_the_server_says(trying: Page, fake: FakeTry) -> None:
    seen = dict(enumerate((True, None, False, True, True, True, True), 1))
    try_to_break_it(trying)
    fake.states = {"notification": "stopped", "payment": "frozen"}
    fake.messages = [{"type": "lights", "invariants": [{"id": i, "title": "", "holds": seen[i]} for i in seen]}]
    expect(trying.locator("#lights li b")).to_have_text(["holds", "not known", "is broken", *["holds"] * 4])
    expect(trying.locator("#services [data-service=notification] .state")).to_have_text("is stopped")
    expect(trying.locator("[data-part='service:notification'] .action")).to_have_text("does not run")
    expect(trying.locator("#now")).to_contain_text("Notification is stopped.")
    expect(trying.locator("[data-part='service:payment'] .action")).to_have_text("is frozen")
    for name in ("Kill Notification", "Freeze Notification", "Freeze Payment"):
        expect(trying.get_by_role("button", name=name)).to_be_disabled()
    wanted = {"Kill Payment": "services/payment/kill", "Freeze Audit": "services/audit/freeze"}
    wanted |= {"Restart Notification": "services/notification/restart", "Send poison": "faults/poison"}
    wanted |= {"Hold back the topic": "faults/hold", "Deliver every event twice": "faults/twice"}
    for name in wanted:
        trying.get_by_role("button", name=name).click()
    assert fake.asked == list(wanted.values())


def test_every_page_shows_a_fault_and_the_seconds_left(trying: Page, fake: FakeTry) -> None:
    try_to_break_it(trying)
    fake.faults = [{"name": KILLED, "ends_at": int(time.time() * 1000) + 50_000}]
    text = re.compile(rf"Fault on: {KILLED}\. *It ends by itself in 4\d s\.")
    for path in ("/try", "/ops", "/"):
        trying.goto(path)
        expect(trying.locator("#faults")).to_have_text(text)
    trying.locator("#faults a").click()
    expect(trying).to_have_url(re.compile("/try$"))
    fake.faults = []
    expect(trying.locator("#faults")).to_be_hidden()
