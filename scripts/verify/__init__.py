"""Check every invariant on the live stack: `python -m scripts.verify --help`."""
