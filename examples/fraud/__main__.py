"""Run the Fraud Service: ``python -m examples.fraud``. SIGTERM or Ctrl-C: finish what is in flight, then exit 0."""

from __future__ import annotations

import argparse
import sys

from examples.fraud.service import FLAGGED, NAME, Fraud
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.config import configured_catalog, load_config
from shopflow.environment import adopt_environment
from shopflow.errors import ConfigError
from workers.process import run_worker


def main() -> int:
    argparse.ArgumentParser(prog="python -m examples.fraud", description=__doc__).parse_args()
    try:
        env = adopt_environment()
        config, catalog = load_config(env), configured_catalog(env)
        if FLAGGED not in catalog.events:
            raise ConfigError(f"{FLAGGED} is unknown: set SHOPFLOW_CATALOG_OVERLAY=examples/fraud/catalog.json")
        topic = connect(config, PATIENT).topic
        run_worker(NAME, lambda _, outbox: Fraud(topic, outbox), config, catalog)
    except ConfigError as error:
        print(f"{NAME}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
