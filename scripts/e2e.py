"""The main job, end to end: `python -m scripts.e2e`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scripts.console import FAILED, OK, CommandError, Progress, run_command
from scripts.infra.envfile import API_URL
from scripts.infra.health import answers
from scripts.infra.stack import ROOT
from scripts.services import LogFiles, Services, service_commands
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.config import Config, adopt_environment, configured_catalog, load_config
from shopflow.domain.order import LEGAL_TRAILS, EventType, Status
from shopflow.ports import Products

ABOUT = """\
Place four orders over HTTP and follow each to its end: its status, its audit trail and its effect on the stock.

Uses the services that run, or starts all five and stops them afterwards; with COMPUTE=lambda make e2e uses Lambda
functions and no process. Puts what it takes into stock first, so it
passes any number of times on the same stack. Exit code 0: all as it should be; 1: something was missed.
"""
HAPPY, OUT_OF_STOCK, OTHER = "PROD-001", "PROD-002", "PROD-003"
PATIENCE_SECONDS = 90
START_SECONDS = 30
STOCK_SECONDS = 5
"""GET /products is eventually consistent."""
REQUEST_SECONDS = 30
"""As long as an HTTP API waits: the first request starts a Lambda function."""
POLL_SECONDS = 0.1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scenario:
    """An order, the status it must end in, and whether its units must then be gone from the stock."""

    name: str
    items: Mapping[str, int]
    payment_method: str
    status: Status

    @property
    def taken(self) -> Mapping[str, int]:
        return self.items if self.status is Status.COMPLETED else dict.fromkeys(self.items, 0)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a scenario's order. ``missed`` says how that differs from what must be; empty: not at all."""

    scenario: Scenario
    order_id: str
    status: str
    trail: tuple[str, ...]
    seconds: float
    missed: tuple[str, ...]


class Shop:
    """The Order Service's API."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def get(self, path: str) -> Any:
        return self._json(self._session.get(self._url + path, timeout=REQUEST_SECONDS))

    def place(self, scenario: Scenario) -> Any:
        items = [{"productId": name, "quantity": units} for name, units in scenario.items.items()]
        body = {"customerId": "CUST-E2E", "items": items, "paymentMethod": scenario.payment_method}
        return self._json(self._session.post(self._url + "/orders", json=body, timeout=REQUEST_SECONDS))

    def stock(self) -> dict[str, int]:
        return {product["productId"]: product["stock"] for product in self.get("/products")}

    def _json(self, response: requests.Response) -> Any:
        if not response.ok:
            raise CommandError(
                f"{response.request.method} {response.url} answered {response.status_code}: {response.text}"
            )
        return response.json()


def scenarios(stock: Mapping[str, int]) -> list[Scenario]:
    return [
        Scenario("happy path", {HAPPY: 2}, "pm_card_visa", Status.COMPLETED),
        Scenario("out of stock", {OUT_OF_STOCK: stock[OUT_OF_STOCK] + 1}, "pm_card_visa", Status.INVENTORY_FAILED),
        Scenario("multi-item", {HAPPY: 1, OTHER: 2}, "pm_card_visa", Status.COMPLETED),
        Scenario("declined payment", {OTHER: 3}, "pm_card_declined_expired", Status.PAYMENT_FAILED),
    ]


def restock_what_will_be_taken(products: Products) -> None:
    """Twice the most that any one scenario asks for."""
    for product_id in (HAPPY, OTHER):
        if products.restock(product_id, 6) is None:
            raise CommandError(f"There is no product {product_id}. Run 'make infra-up', which seeds it.")


def play(shop: Shop, scenario: Scenario) -> Result:
    """Place the order, wait for its end, and compare."""
    before = shop.stock()
    started = time.monotonic()
    order_id = shop.place(scenario)["orderId"]
    legal = [str(event_type) for event_type in LEGAL_TRAILS[scenario.status]]
    order, trail = wait_for(lambda: _standing(shop, order_id), lambda seen: _ended(*seen))
    seconds = time.monotonic() - started
    taken = wait_for(lambda: _taken(shop, scenario, before), lambda seen: seen == scenario.taken, STOCK_SECONDS)
    missed = _differences(
        ("status", str(scenario.status), order["status"]),
        ("trail", legal, trail),
        ("stock taken", dict(scenario.taken), taken),
    )
    return Result(scenario, order_id, order["status"], tuple(trail), seconds, missed)


def wait_for(look: Callable[[], T], enough: Callable[[T], bool], patience_seconds: float = PATIENCE_SECONDS) -> T:
    """Look again and again until ``enough`` is true of what is seen, or patience ends. Returns what was seen last."""
    deadline = time.monotonic() + patience_seconds
    while not enough(seen := look()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return seen


def _standing(shop: Shop, order_id: str) -> tuple[Any, list[str]]:
    order = shop.get(f"/orders/{order_id}")
    trail = [entry["eventType"] for entry in shop.get(f"/orders/{order_id}/events")]
    return order, [event_type for event_type in trail if event_type in frozenset(EventType)]


def _taken(shop: Shop, scenario: Scenario, before: Mapping[str, int]) -> dict[str, int]:
    now = shop.stock()
    return {name: before[name] - now[name] for name in scenario.items}


def _ended(order: Any, trail: list[str]) -> bool:
    """Terminal, the customer told, and the legal trail of that status complete."""
    status = Status(order["status"])
    return status.terminal and "notifiedAt" in order and len(trail) >= len(LEGAL_TRAILS[status])


def _differences(*checks: tuple[str, Any, Any]) -> tuple[str, ...]:
    return tuple(f"{name}: expected {expected}, got {got}" for name, expected, got in checks if expected != got)


@contextmanager
def running_services(config: Config, env: Mapping[str, str], progress: Progress) -> Iterator[str]:
    """Have the services run: functions, processes that run already, or five of our own for as long as the block lasts.

    Yields where the Order Service answers.
    """
    url = url_of(config)
    if functions := env.get(API_URL):
        require_no_processes(url)
        progress.say(f"✔ Using the Lambda functions behind {functions}")
        yield functions
        return
    if answers(f"{url}/health"):
        progress.say(f"✔ Using the services that run at {url}")
        yield url
        return
    logs = LogFiles(ROOT / ".local" / "e2e-logs")
    with Services(service_commands(configured_catalog(env)), env, logs) as services:
        with progress.step("Starting the five services"):
            services.start()
            if not wait_for(lambda: answers(f"{url}/health"), bool, START_SECONDS):
                raise CommandError(f"The Order Service does not answer at {url}: see {logs.path('order')}")
        yield url
        with progress.step("Stopping them"):
            services.stop()


def require_no_processes(url: str) -> None:
    """They would take the functions' messages: what is shown then would be shown of either."""
    if answers(f"{url}/health"):
        raise CommandError(f"The Order Service runs at {url}, and workers perhaps with it. Stop them first.")


def url_of(config: Config) -> str:
    return f"http://{config.host}:{config.port}"


def report(results: Iterable[Result]) -> Table:
    table = Table(title="End to end", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("", "scenario", "order", "status", "audit trail", "seconds"):
        table.add_column(name, no_wrap=name in ("order", "status", "audit trail"))
    for result in results:
        mark = "[red]✘[/]" if result.missed else "[green]✔[/]"
        trail = "\n".join([*result.trail, *(f"[red]{miss}[/]" for miss in result.missed)])
        table.add_row(mark, result.scenario.name, result.order_id, result.status, trail, f"{result.seconds:.1f}")
    return table


def main() -> int:
    argparse.ArgumentParser(
        prog="python -m scripts.e2e", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    env = adopt_environment()
    config = load_config(env)
    progress = Progress()
    restock_what_will_be_taken(connect(config, PATIENT).products)
    results = []
    with running_services(config, env, progress) as url:
        shop = Shop(url)
        for scenario in scenarios(shop.stock()):
            with progress.step(f"{scenario.name}: {', '.join(f'{n} x {p}' for p, n in scenario.items.items())}"):
                results.append(play(shop, scenario))
    Console(highlight=False).print(report(results))
    return FAILED if any(result.missed for result in results) else OK


if __name__ == "__main__":
    sys.exit(run_command(main))
