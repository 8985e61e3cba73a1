"""Clients for a local AWS, by localstack-client."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from localstack_client.session import Session


def local_client(service: str, endpoint: str, **options: Any) -> Any:
    """A boto3 client of ``service`` with a local AWS's credentials. ``options`` are boto3's, such as ``config``.

    An AWS_ENDPOINT_URL in the environment takes precedence over ``endpoint``.
    """
    return Session(localstack_host=urlsplit(endpoint).netloc).client(service, **options)
