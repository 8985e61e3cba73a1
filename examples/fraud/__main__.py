"""Run the Fraud Service: ``python -m examples.fraud``. SIGTERM or Ctrl-C: finish what is in flight, then exit 0."""

from __future__ import annotations

import argparse
import sys

from examples.fraud.service import FLAGGED, NAME, Fraud
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import Catalog
from shopflow.config import Config, configured_catalog, load_config
from shopflow.environment import adopt_environment
from shopflow.errors import ConfigError
from workers.process import run_worker


def main() -> int:
    argparse.ArgumentParser(prog="python -m examples.fraud", description=__doc__).parse_args()
    try:
        env = adopt_environment()
        run(load_config(env), configured_catalog(env))
    except ConfigError as error:
        print(f"{NAME}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def run(config: Config, catalog: Catalog) -> None:
    """Consume until SIGTERM or SIGINT. Raises `ConfigError`, also when the overlay is not switched on."""
    if FLAGGED not in catalog.events:
        raise ConfigError(
            "Its events are not in the catalogue: set SHOPFLOW_CATALOG_OVERLAY=examples/fraud/catalog.json"
        )
    topic = connect(config, PATIENT).topic
    run_worker(NAME, lambda _, outbox: Fraud(topic, outbox), config, catalog)


if __name__ == "__main__":
    sys.exit(main())
