"""What ShopFlow costs in time and money, measured on an emulator of its own: `python -m bench --help`."""
