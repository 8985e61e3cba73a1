"""How fast ShopFlow is, beside a bare reference, which does the same in the simplest way: `python -m bench --help`."""
