"""`.env.local`: what Terraform made, as the variables that shopflow.config reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

HEADER = "# Written by `make infra-up` from Terraform's outputs. An exported variable wins over a line of this file.\n"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""A local AWS asks for some, and takes any."""
API_URL = "SHOPFLOW_API_URL"
"""Set when the services are Lambda functions: where their HTTP API answers."""
SECONDS_TO_RECEIVE = 2
"""A local long poll is cut short, so that a Ctrl-C does not have to wait for one of 20 s."""


def render(outputs: Mapping[str, Any], endpoint: str) -> str:
    """The text of the file, for the local AWS at ``endpoint``."""
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": outputs["region"],
        **CREDENTIALS,
        "SQS_WAIT_SECONDS": SECONDS_TO_RECEIVE,
        "SHOPFLOW_TOPIC_ARN": outputs["topic_arn"],
        **_by_service(outputs["queue_urls"], "QUEUE_URL", endpoint),
        **_by_service(outputs["dlq_urls"], "DLQ_URL", endpoint),
        "SHOPFLOW_ORDERS_TABLE": outputs["orders_table"],
        "SHOPFLOW_INVENTORY_TABLE": outputs["inventory_table"],
        "SHOPFLOW_EVENTS_TABLE": outputs["events_table"],
        "SHOPFLOW_OPEN_ORDERS_INDEX": outputs["open_orders_index"],
        **({"SHOPFLOW_CATALOG_OVERLAY": overlay} if (overlay := outputs.get("catalog_overlay")) else {}),
        **({API_URL: _api_at(endpoint, url)} if (url := outputs.get("api_url")) else {}),
    }
    return HEADER + "".join(f"{name}={value}\n" for name, value in variables.items())


def _by_service(urls: Mapping[str, str], suffix: str, endpoint: str) -> dict[str, str]:
    return {f"SHOPFLOW_{service.upper()}_{suffix}": _at(endpoint, url) for service, url in sorted(urls.items())}


def _api_at(endpoint: str, url: str) -> str:
    """An HTTP API's URL by path: a name like <id>.execute-api.127.0.0.1 leads nowhere, and AWS's has no path for it."""
    api_id = (urlsplit(url).hostname or "").partition(".")[0]
    return f"{endpoint}/_aws/execute-api/{api_id}/$default"


def _at(endpoint: str, url: str) -> str:
    """A queue's URL where the queue is now: a local AWS gives the host and port at which it was made."""
    return endpoint + urlsplit(url).path
