"""The main job, end to end: `python -m scripts.e2e`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import requests

from scripts.console import (
    FAILED,
    MISUSED,
    OK,
    CommandError,
    Progress,
    last_line,
    new_console,
    parser_of,
    plain_table,
    run_command,
)
from scripts.infra.stack import API_URL, ROOT, answers, fetch
from scripts.services import LogFiles, Services, check_settings, service_commands, url_of
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.config import Config, configured_catalog, load_config
from shopflow.domain.order import LEGAL_TRAILS, EventType, Status
from shopflow.environment import adopt_environment
from shopflow.errors import ConfigError
from shopflow.ports import Products

ABOUT = """\
Place four orders over HTTP and follow each to its end: its status, its audit trail and its effect on the stock.

Uses the services that already run, or starts all five and stops them afterwards. After COMPUTE=lambda make e2e it uses
the Lambda functions. It first restocks what it will take, so it can run any number of times on the same stack.

exit codes: 0 every order ended as it should, 1 one did not
"""
HAPPY, OUT_OF_STOCK, OTHER = "PROD-001", "PROD-002", "PROD-003"
END_SECONDS = 90
START_SECONDS = 30
STOCK_SECONDS = 5
"""GET /products is eventually consistent."""
REQUEST_SECONDS = 30
"""The limit of an HTTP API on AWS: the first request has to start a Lambda function."""
HEALTH_SECONDS = 5
"""For a service on this machine, even a busy one. Another program may hold the port and never answer."""
POLL_SECONDS = 0.1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scenario:
    """An order and the status it must end in."""

    name: str
    items: Mapping[str, int]
    payment_method: str
    status: Status


class Shop:
    """The Order Service's API. Every method raises `CommandError` when it answers with an error.

    ``check`` runs before each request, and may raise.
    """

    def __init__(self, url: str, check: Callable[[], object]) -> None:
        self._url = url
        self._check = check
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc

    def get(self, path: str) -> Any:
        return self._ask("GET", path)

    def place(self, items: Mapping[str, int], payment_method: str) -> str:
        """Returns the id of the new order. ``items``: units by product."""
        lines = [{"productId": name, "quantity": units} for name, units in items.items()]
        body = {"customerId": "CUST-E2E", "items": lines, "paymentMethod": payment_method}
        order_id: str = self._ask("POST", "/orders", json=body)["orderId"]
        return order_id

    def stock(self) -> dict[str, int]:
        return {product["productId"]: product["stock"] for product in self.get("/products")}

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        self._check()
        try:
            answer = self._session.request(method, self._url + path, timeout=REQUEST_SECONDS, **options)
            if answer.ok:
                return answer.json()
        except requests.RequestException as error:
            raise CommandError(f"{method} {self._url}{path} failed: {error}") from None
        raise CommandError(f"{method} {answer.url} answered {answer.status_code}: {answer.text}")


def is_order_service(url: str) -> bool:
    """Whether an Order Service answers at ``url``, and not another program."""
    answer = fetch(f"{url}/health", HEALTH_SECONDS)
    with suppress(ValueError, TypeError):  # another program may answer anything
        return answer is not None and "service" in answer.json()
    return False


def scenarios(stock: Mapping[str, int]) -> list[Scenario]:
    return [
        Scenario("happy path", {HAPPY: 2}, "pm_card_visa", Status.COMPLETED),
        Scenario("out of stock", {OUT_OF_STOCK: stock[OUT_OF_STOCK] + 1}, "pm_card_visa", Status.INVENTORY_FAILED),
        Scenario("multi-item", {HAPPY: 1, OTHER: 2}, "pm_card_visa", Status.COMPLETED),
        Scenario("declined payment", {OTHER: 3}, "pm_card_declined_expired", Status.PAYMENT_FAILED),
    ]


def restock_for_scenarios(products: Products) -> None:
    """Add what the scenarios take, at least."""
    for product_id in (HAPPY, OTHER):
        if products.restock(product_id, 6) is None:
            raise CommandError(f"There is no product {product_id}. 'python -m scripts.products put' makes it.")


def play(shop: Shop, scenario: Scenario) -> tuple[list[str], bool]:
    """Place the order, wait for its end, and compare. Returns a row of the result's table, and whether it is right."""
    before = shop.stock()
    started = time.monotonic()
    order_id = shop.place(scenario.items, scenario.payment_method)

    def look() -> tuple[Any, list[str]]:
        order = shop.get(f"/orders/{order_id}")
        events = [entry["eventType"] for entry in shop.get(f"/orders/{order_id}/events")]
        return order, [event_type for event_type in events if event_type in frozenset(EventType)]

    def stock_taken() -> dict[str, int]:
        now = shop.stock()
        return {product_id: before[product_id] - now[product_id] for product_id in scenario.items}

    order, trail = wait_for(look, lambda seen: _has_ended(*seen), END_SECONDS)
    seconds = time.monotonic() - started
    to_take = scenario.items if scenario.status is Status.COMPLETED else dict.fromkeys(scenario.items, 0)
    taken = wait_for(stock_taken, lambda seen: seen == to_take, STOCK_SECONDS)
    checks = (
        ("status", str(scenario.status), order["status"]),
        ("trail", [str(event_type) for event_type in LEGAL_TRAILS[scenario.status]], trail),
        ("stock taken", to_take, taken),
    )
    wrong = [f"[red]{what}: expected {expected}, got {got}[/]" for what, expected, got in checks if expected != got]
    mark = "[red]✘[/]" if wrong else "[green]✔[/]"
    row = [mark, scenario.name, order_id, order["status"], "\n".join([*trail, *wrong]), f"{seconds:.1f}"]
    return row, not wrong


def wait_for(look: Callable[[], T], enough: Callable[[T], bool], seconds: float) -> T:
    """Call ``look`` until ``enough`` accepts its result, or until ``seconds`` have passed. Returns the last result."""
    deadline = time.monotonic() + seconds
    while not enough(seen := look()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return seen


def _has_ended(order: Any, trail: list[str]) -> bool:
    """Whether its status is final, the customer was notified, and its trail is complete."""
    status = Status(order["status"])
    return status.terminal and "notifiedAt" in order and len(trail) >= len(LEGAL_TRAILS[status])


@contextmanager
def running_services(config: Config, env: Mapping[str, str], progress: Progress) -> Iterator[Shop]:
    """Yields an Order Service: that of the Lambda functions, of running processes, or of five new processes.

    The new processes stop at the end of the block. When one ends before, the block fails with its reason.
    """
    url = url_of(config)
    functions, running = env.get(API_URL), is_order_service(url)
    if functions and running:  # its workers would take messages from the functions
        raise CommandError(f"The Order Service runs at {url}, perhaps with workers. Stop them first.")
    if functions or running:
        what = "Lambda functions behind" if functions else "services that run at"
        progress.say(f"✔ Using the {what} {functions or url}")
        yield Shop(functions or url, lambda: None)
        return
    catalog, logs = configured_catalog(env), LogFiles(ROOT / ".local" / "e2e-logs")
    check_settings(config, catalog)
    with Services(service_commands(catalog), env, logs) as services:

        def check() -> None:
            for ended in services.ended():
                reason = last_line(logs.path(ended.label).read_text(errors="replace"))
                wrong = ConfigError if ended.exit_code == MISUSED else CommandError
                raise wrong(f"{reason} (The service '{ended.label}' {ended.cause}: {logs.path(ended.label)})")

        def is_up() -> bool:
            check()
            return answers(f"{url}/health")

        with progress.step("Starting the five services"):
            services.start()
            if not wait_for(is_up, bool, START_SECONDS):
                raise CommandError(f"The Order Service does not answer at {url}: see {logs.path('order')}")
        yield Shop(url, check)
        with progress.step("Stopping them"):
            services.stop()


def main() -> int:
    parser_of("scripts.e2e", ABOUT).parse_args()
    env = adopt_environment()
    config = load_config(env)
    progress = Progress()
    restock_for_scenarios(connect(config, PATIENT).products)
    table = plain_table("End to end", "", "scenario", "order", "status", "audit trail", "seconds")
    for column in table.columns[2:5]:
        column.no_wrap = True
    code = OK
    with running_services(config, env, progress) as shop:
        for scenario in scenarios(shop.stock()):
            items = ", ".join(f"{count} x {product_id}" for product_id, count in scenario.items.items())
            with progress.step(f"{scenario.name}: {items}") as step:
                row, right = play(shop, scenario)
                step.failed = not right
            table.add_row(*row)
            code = code if right else FAILED
    new_console().print(table)
    return code


if __name__ == "__main__":
    sys.exit(run_command(main))
