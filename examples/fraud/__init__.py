"""A fifth service: it scores new orders and flags those that look like fraud. No other service knows it.

Switched on by its catalogue overlay and one variable. With Terraform alone that is TF_VAR_catalog_overlay (a path seen
from terraform/), and the processes are told by SHOPFLOW_CATALOG_OVERLAY, which `make infra-up` writes into .env.local:

    SHOPFLOW_CATALOG_OVERLAY=examples/fraud/catalog.json make run-all
"""
