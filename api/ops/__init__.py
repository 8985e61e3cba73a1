"""The operator's page and its API: only for who knows the token."""
