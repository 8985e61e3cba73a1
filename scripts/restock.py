"""Put units into stock: `python -m scripts.restock --help`."""

from __future__ import annotations

import argparse
import sys

from scripts.console import OK, CommandError, run_command
from scripts.products import shortfall
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.config import adopt_environment, load_config
from shopflow.errors import ConfigError
from shopflow.ports import Products

MOST_UNITS = 1_000_000
ABOUT = """\
Put units into stock. A product's stock and the count of units it ever received rise together, in one write.

  python -m scripts.restock                                   every product back to at least its first stock
  python -m scripts.restock --product PROD-002 --units 50     50 more of one
"""


def restock(products: Products, units_by_product: dict[str, int]) -> list[str]:
    """Add the units. Returns a line for people on each product. Raises `CommandError` for one that there is not."""
    lines = []
    for product_id, units in units_by_product.items():
        product = products.restock(product_id, units)
        if product is None:
            raise CommandError(f"There is no product {product_id}: 'make infra-status' lists those that there are.")
        lines.append(f"{product_id}  {product.product_name}: +{units}, stock {product.stock}")
    return lines


def parse(arguments: list[str]) -> tuple[str | None, int | None]:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.restock", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--product", metavar="ID", help="which product, such as PROD-001 (default: all)")
    parser.add_argument("--units", type=int, metavar="N", help=f"how many to add, 1 to {MOST_UNITS:,}")
    options = parser.parse_args(arguments)
    if (options.product is None) != (options.units is None):
        raise ConfigError("Name a product and how many units: make restock PRODUCT=PROD-001 UNITS=50")
    if options.units is not None and not 1 <= options.units <= MOST_UNITS:
        raise ConfigError(f"UNITS={options.units} must be a number from 1 to {MOST_UNITS}.")
    return options.product, options.units


def main() -> int:
    product_id, units = parse(sys.argv[1:])
    products = connect(load_config(adopt_environment()), PATIENT).products
    if product_id and units:
        wanted = {product_id: units}
    else:
        wanted = {product.product_id: short for product in products.all() if (short := shortfall(product))}
    print("\n".join(restock(products, wanted)) or "Every product has at least its first stock: nothing to add.")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
