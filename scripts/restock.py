"""Adds units to the stock: `python -m scripts.restock --help`."""

from __future__ import annotations

import sys

from scripts.console import OK, CommandError, number_up_to, parser_of, run_command
from scripts.products import MAX_UNITS, read_products
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.config import load_config
from shopflow.environment import adopt_environment
from shopflow.errors import ConfigError

ABOUT = """\
Add units to the stock. One write raises a product's stock and its count of all units ever received.

  python -m scripts.restock                                   every product back to at least its first stock
  python -m scripts.restock --product PROD-002 --units 50     50 more of one product
"""


def main() -> int:
    parser = parser_of("scripts.restock", ABOUT)
    parser.add_argument("--product", metavar="ID", help="which product, such as PROD-001 (default: all)")
    units_help = f"how many to add, 1 to {MAX_UNITS:,}"
    parser.add_argument("--units", type=number_up_to(MAX_UNITS), metavar="N", help=units_help)
    options = parser.parse_args()
    if (options.product is None) != (options.units is None):
        raise ConfigError("Name a product and how many units: make restock PRODUCT=PROD-001 UNITS=50")
    products = connect(load_config(adopt_environment()), PATIENT).products
    wanted = {options.product: options.units}
    if options.product is None:
        first = {product.product_id: product.stock for product in read_products()}
        missing = {one.product_id: first.get(one.product_id, 0) - one.stock for one in products.all()}
        wanted = {product_id: units for product_id, units in missing.items() if units > 0}
    for product_id, units in wanted.items():
        product = products.restock(product_id, units)
        if product is None:
            raise CommandError(f"There is no product {product_id}: 'python -m scripts.products list' lists them.")
        print(f"{product_id}  {product.product_name}: +{units}, stock {product.stock}")
    if not wanted:
        print("Every product has at least its first stock: nothing to add.")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
