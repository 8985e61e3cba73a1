"""Run one worker: ``python -m workers inventory``. SIGTERM or Ctrl-C: finish what is in flight, then exit 0."""

from __future__ import annotations

import argparse
import sys

from shopflow.config import configured_catalog, load_config
from shopflow.environment import adopt_environment
from shopflow.errors import ConfigError
from workers.handlers import HANDLERS
from workers.process import run_worker


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers", description="Run one of ShopFlow's workers.")
    parser.add_argument("service", choices=HANDLERS)
    service = parser.parse_args().service
    try:
        env = adopt_environment()
        run_worker(service, HANDLERS[service], load_config(env), configured_catalog(env))
    except ConfigError as error:
        print(f"{service}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
