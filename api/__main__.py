"""Run the Order Service: ``python -m api``. On SIGTERM or Ctrl-C it finishes what is in flight and exits with 0."""

from __future__ import annotations

import argparse
import sys

from api.service import NAME, run
from shopflow.config import configured_catalog, load_config
from shopflow.environment import adopt_environment
from shopflow.errors import ConfigError
from shopflow.log import start_logging

DESCRIPTION = "Run ShopFlow's Order Service: the HTTP API, the storefront, and the relay of unpublished events."
SETTINGS = """settings (exported, or in .env.local, which 'make infra-up' writes):
  HOST=127.0.0.1  PORT=3000           where to listen
  RELAY=on|off                        whether to publish events that a crash left unpublished
  RELAY_INTERVAL_SECONDS=30           how often to look for it
  OPS_TOKEN=…                         the operator's token; without it /ops is off
  LOG_FORMAT=auto|json|text           auto: text on a terminal, else JSON
"""


def main() -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser("python -m api", None, DESCRIPTION, SETTINGS, formatter_class=formatter).parse_args()
    try:
        env = adopt_environment()
        config, catalog = load_config(env), configured_catalog(env)
        start_logging(catalog.services[NAME], config.log_format)
        run(config, catalog)
    except ConfigError as error:
        print(f"order: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
