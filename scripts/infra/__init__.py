"""Starts a local cloud and applies Terraform to it: `python -m scripts.infra --help`."""
