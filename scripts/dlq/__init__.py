"""The dead-letter tool: `python -m scripts.dlq --help`."""
