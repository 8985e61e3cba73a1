"""Put units into stock: `python -m scripts.restock --help`."""

from __future__ import annotations

import argparse
import sys

from scripts.console import FAILED, OK, CommandError, Progress, run_command
from scripts.products import shortfall
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.config import adopt_environment, load_config
from shopflow.errors import ConfigError, ShopFlowError, Unavailable
from shopflow.ports import Products

MAX_UNITS = 1_000_000
ABOUT = """\
Put units into stock. A product's stock and the count of units it ever received rise together, in one write.

  python -m scripts.restock                                   every product back to at least its first stock
  python -m scripts.restock --product PROD-002 --units 50     50 more of one
"""


def restock(products: Products, product_id: str, units: int) -> str:
    """Add the units. Returns a line for people. Raises `CommandError` when there is no such product."""
    product = products.restock(product_id, units)
    if product is None:
        raise CommandError(f"There is no product {product_id}: 'make infra-status' lists those that there are.")
    return f"{product_id}  {product.product_name}: +{units}, stock {product.stock}"


def restock_all(products: Products, units_by_product: dict[str, int], progress: Progress) -> int:
    """Add the units to each, and say so. One whose row is refused or cannot be read is told of, and the exit code 1."""
    code = OK
    for product_id, units in units_by_product.items():
        try:
            progress.say(restock(products, product_id, units))
        except Unavailable:
            raise
        except ShopFlowError as error:
            progress.warn(f"{product_id}: {error}")
            code = FAILED
    if not units_by_product:
        progress.say("Every product has at least its first stock: nothing to add.")
    return code


def parse(arguments: list[str]) -> tuple[str | None, int | None]:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.restock", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--product", metavar="ID", help="which product, such as PROD-001 (default: all)")
    parser.add_argument("--units", type=int, metavar="N", help=f"how many to add, 1 to {MAX_UNITS:,}")
    options = parser.parse_args(arguments)
    if (options.product is None) != (options.units is None):
        raise ConfigError("Name a product and how many units: make restock PRODUCT=PROD-001 UNITS=50")
    if options.units is not None and not 1 <= options.units <= MAX_UNITS:
        raise ConfigError(f"UNITS={options.units} must be a number from 1 to {MAX_UNITS}.")
    return options.product, options.units


def main() -> int:
    product_id, units = parse(sys.argv[1:])
    products = connect(load_config(adopt_environment()), PATIENT).products
    if product_id and units:
        print(restock(products, product_id, units))
        return OK
    wanted = {product.product_id: short for product in products.all() if (short := shortfall(product))}
    return restock_all(products, wanted, Progress())


if __name__ == "__main__":
    sys.exit(run_command(main))
