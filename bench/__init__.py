"""How fast ShopFlow is, beside a bare reference that works the original's way: `python -m bench --help`."""
