"""Adds units to the stock: `python -m scripts.restock --help`."""

from __future__ import annotations

import sys

from scripts.console import FAILED, OK, CommandError, Progress, parser_of, run_command
from scripts.products import MAX_UNITS, read_products
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.config import load_config
from shopflow.environment import adopt_environment
from shopflow.errors import ConfigError, ShopFlowError, Unavailable
from shopflow.ports import Products

ABOUT = """\
Add units to the stock. One write raises a product's stock and its count of all units ever received.

  python -m scripts.restock                                   every product back to at least its first stock
  python -m scripts.restock --product PROD-002 --units 50     50 more of one product
"""


def restock(products: Products, product_id: str, units: int) -> str:
    """Add the units. Returns a line that says so. Raises `CommandError` when there is no such product."""
    product = products.restock(product_id, units)
    if product is None:
        raise CommandError(f"There is no product {product_id}: 'python -m scripts.products list' lists them.")
    return f"{product_id}  {product.product_name}: +{units}, stock {product.stock}"


def restock_all(products: Products, units_by_product: dict[str, int], progress: Progress) -> int:
    """Add the units to each product. Reports a product whose row is malformed, goes on, and then returns `FAILED`."""
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


def main() -> int:
    parser = parser_of("scripts.restock", ABOUT)
    parser.add_argument("--product", metavar="ID", help="which product, such as PROD-001 (default: all)")
    parser.add_argument("--units", type=int, metavar="N", help=f"how many to add, 1 to {MAX_UNITS:,}")
    options = parser.parse_args()
    if (options.product is None) != (options.units is None):
        raise ConfigError("Name a product and how many units: make restock PRODUCT=PROD-001 UNITS=50")
    if options.units is not None and not 1 <= options.units <= MAX_UNITS:
        raise ConfigError(f"UNITS={options.units} must be a number from 1 to {MAX_UNITS}.")
    products = connect(load_config(adopt_environment()), PATIENT).products
    if options.product is not None:
        print(restock(products, options.product, options.units))
        return OK
    first = {product.product_id: product.stock for product in read_products()}
    missing = {one.product_id: first.get(one.product_id, 0) - one.stock for one in products.all()}
    return restock_all(products, {name: units for name, units in missing.items() if units > 0}, Progress())


if __name__ == "__main__":
    sys.exit(run_command(main))
