"""The products of a stack: `python -m scripts.products --help`."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from scripts.console import OK, CommandError, parser_of, plain_table, run_command
from shopflow import jsontext
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.config import load_config
from shopflow.domain.money import money
from shopflow.domain.stock import Product
from shopflow.domain.text import flaw
from shopflow.environment import adopt_environment
from shopflow.ports import Products

FILE = Path(__file__).with_name("products.json")
"""What `make infra-up` puts into a new local stack."""
MAX_UNITS = 1_000_000
ABOUT = """\
List the products of a stack, or put those of a file into it.

  python -m scripts.products list
  python -m scripts.products put                   the three of scripts/products.json
  python -m scripts.products put products.csv      with the columns productId, productName, price and stock

A new product gets the stock in the file. One that exists gets its name and price from the file and keeps its stock:
`python -m scripts.restock` adds to the stock. When a row of the file is wrong, nothing is written.

exit codes: 0 done, 1 the file or a product is wrong, 2 a wrong argument or setting
"""


def read_products(file: Path = FILE) -> list[Product]:
    """The products in a JSON or CSV file. Raises `CommandError` naming the first row that is wrong."""
    try:
        text = file.read_text()
        rows = csv.DictReader(io.StringIO(text)) if file.suffix == ".csv" else jsontext.loads(text)
        products = [_product(number, row) for number, row in enumerate(rows, 1)]
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be used: {error}") from None
    if len({product.product_id for product in products}) < len(products):
        raise CommandError(f"{file} cannot be used: a productId is there twice")
    return products


def _product(number: int, row: Mapping[str, Any]) -> Product:
    try:
        price, stock = money(row["price"]), int(row["stock"])
        product = Product(row["productId"], row["productName"], price, stock, received=stock)
        if wrong := flaw(product.product_id) or flaw(product.product_name):
            raise ValueError(f"a name {wrong}")
        if price < 0 or not 0 <= stock <= MAX_UNITS or str(stock) != str(row["stock"]).strip():
            raise ValueError(f"price {price}, stock {row['stock']}")
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        expected = "productId and productName, a price such as 49.99, and a stock from 0 to 1,000,000"
        raise ValueError(f"product {number} must have {expected} ({error})") from None
    return product


def put(products: Products, wanted: Iterable[Product]) -> list[str]:
    """Put each product. Returns the ids of the new ones."""
    return [product.product_id for product in wanted if products.put(product)]


def main() -> int:
    parser = parser_of("scripts.products", ABOUT)
    parser.add_argument("command", choices=("list", "put"))
    parser.add_argument("file", nargs="?", type=Path, default=FILE, help="JSON or CSV (default: scripts/products.json)")
    options = parser.parse_args()
    products = connect(load_config(adopt_environment()), PATIENT).products
    if options.command == "put":
        wanted = read_products(options.file)
        new = put(products, wanted)
        print(f"{len(wanted)} products put: {len(new)} new, {len(wanted) - len(new)} that keep their stock")
        return OK
    table = plain_table("Products", "id", "name", "price", "stock", "received", numeric=("price", "stock", "received"))
    for one in products.all():
        table.add_row(one.product_id, one.product_name, str(one.price), str(one.stock), str(one.received))
    Console(highlight=False).print(table)
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
