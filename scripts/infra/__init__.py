"""Brings a local AWS up and Terraform's resources into it: `python -m scripts.infra --help`."""
