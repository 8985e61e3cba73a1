"""Replay orders from their events: `python -m scripts.replay --help`."""
