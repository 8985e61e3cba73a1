"""The contracts of events and requests: `python -m scripts.contracts --help`."""
