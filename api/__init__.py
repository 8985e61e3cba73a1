"""The Order Service: the only one with an HTTP API."""
