"""The operator's token, from AWS Systems Manager."""

from __future__ import annotations

import logging

from botocore.exceptions import BotoCoreError, ClientError

from shopflow.aws.calls import INTERACTIVE
from shopflow.aws.wiring import session_in
from shopflow.config import Config, checked_token
from shopflow.errors import ConfigError

log = logging.getLogger(__name__)


def operators_token(config: Config) -> str | None:
    """The token that is set, or else that of the SSM parameter that is named. None turns the operator's page off.

    A parameter that cannot be read turns the page off until the next start, and is logged: orders need no such page.
    """
    name = config.ops_token_parameter
    if config.ops_token or not name:
        return config.ops_token
    ssm = session_in(config.region).client("ssm", endpoint_url=config.endpoint_url, config=INTERACTIVE.boto_config())
    try:
        answer = ssm.get_parameter(Name=name, WithDecryption=True)
        return checked_token(answer["Parameter"]["Value"], f"The SSM parameter {name}")
    except (BotoCoreError, ClientError, ConfigError) as error:
        log.error("the operator's page is off: %s", error)
        return None
