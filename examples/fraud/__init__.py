"""A fifth service: it scores new orders and flags those that look like fraud. No other service knows about it.

One variable, the path of its catalogue overlay, switches it on. `make infra-up` writes it into .env.local for the
processes. For Terraform alone it is TF_VAR_catalog_overlay, a path relative to terraform/.

    SHOPFLOW_CATALOG_OVERLAY=examples/fraud/catalog.json make run-all
"""
