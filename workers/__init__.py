"""The four services that consume events. Run one with ``python -m workers NAME``."""
