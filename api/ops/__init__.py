"""The operator's page and its API, for whoever has the operator's token."""
