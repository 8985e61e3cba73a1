"""Starts a local AWS and applies Terraform to it: `python -m scripts.infra --help`."""
