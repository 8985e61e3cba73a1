"""The simulation of a flash sale: it loses no order, makes no stock, and lets one transaction at a time on a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.flash_sale_model import Sale
from bench.flash_sale_parameters import ASSUMED_CPU_MS, WORKERS, Parameters, load_parameters
from bench.flash_sale_scenario import Outcome, Scenario, scenarios

ASSUMED = Parameters({name: ms / 1000 for name, ms in ASSUMED_CPU_MS.items()}, None)
RATE, SECONDS = 200, 2.0


def _run(scenario: Scenario, parameters: Parameters = ASSUMED) -> Outcome:
    threads = {name: parameters.threads(name, scenario.orders_per_second) for name in WORKERS}
    return Sale(scenario, parameters, threads).run()


@pytest.mark.parametrize("scenario", scenarios(RATE, SECONDS), ids=lambda scenario: scenario.name)
def test_every_customer_is_told_and_every_declined_order_gives_its_stock_back(scenario: Scenario) -> None:
    outcome = _run(scenario)
    assert len(outcome.latencies) == RATE * SECONDS
    assert outcome.counts["released"] == outcome.counts["declined"] > 0
    assert min(outcome.latencies) > 0


def test_no_more_units_are_sold_than_there_are() -> None:
    nobody_declined = replace(ASSUMED, declined=0)
    outcome = _run(Scenario("all want it", RATE, SECONDS, hot=1, stock=50), nobody_declined)
    assert RATE * SECONDS - outcome.counts["refused"] == 50


def test_one_row_takes_one_transaction_at_a_time() -> None:
    outcome = _run(Scenario("all want it", RATE, SECONDS, hot=1, stock=10_000))
    assert 0 < outcome.most_units_of_a_row <= 2 / ASSUMED.aws.transact
    assert outcome.counts["conflicts"] > 0


def test_without_a_hot_product_the_threads_keep_up() -> None:
    outcome = _run(Scenario("evenly spread", RATE, SECONDS))
    assert outcome.done_at < SECONDS + 2
    assert outcome.counts["conflicts"] == 0


def test_the_same_seed_gives_the_same_outcome() -> None:
    scenario = Scenario("sale", RATE, SECONDS, hot=0.5, stock=60)
    assert _run(scenario) == _run(scenario)


def test_what_nobody_has_measured_is_assumed_and_says_so(tmp_path: Path) -> None:
    assert load_parameters(tmp_path) == ASSUMED


def test_a_measured_pipeline_takes_the_place_of_what_was_assumed(tmp_path: Path) -> None:
    facts = ", ".join(f'"cpu_ms_an_order.{name}": 4.0' for name in ASSUMED_CPU_MS)
    part = f'{{"date": "2026-01-31", "commit": "abc", "quick": false, "facts": {{{facts}}}}}'
    (tmp_path / "results.json").write_text(f'{{"parts": {{"pipeline": {part}}}}}')
    parameters = load_parameters(tmp_path)
    assert parameters.measured == "2026-01-31, commit abc"
    assert parameters.cores("payment", 1000) == 5
