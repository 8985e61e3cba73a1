"""Contracts that evolve: `python -m scripts.contracts --help`."""
