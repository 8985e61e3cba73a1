"""The operator's page and its API. Both need the operator's token."""
