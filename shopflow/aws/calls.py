"""Clients with bounded times, and the translation of AWS's errors into ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError

from shopflow.errors import Contention, Unavailable

CONTENTION = frozenset(
    {
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
        "ThrottlingError",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestLimitExceeded",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
    }
)
"""Codes of a refusal because of other work at the same time, as errors and as cancellation reasons (AWS, DynamoDB
developer guide, "Error handling" and "Transactions")."""

_OUR_MISTAKE = frozenset({"ValidationException", "ValidationError", "SerializationException", "InvalidParameterValue"})
_CONDITION_FAILED = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long a call may take: seconds to connect, seconds of silence, and how often it is tried in all."""

    connect_seconds: float
    read_seconds: float
    attempts: int

    def boto_config(self, extra_read_seconds: float = 0) -> BotoConfig:
        return BotoConfig(
            connect_timeout=self.connect_seconds,
            read_timeout=self.read_seconds + extra_read_seconds,
            retries={"mode": "standard", "total_max_attempts": self.attempts},
            max_pool_connections=64,
            parameter_validation=False,  # AWS validates too; here it is a fifth of a call's processor time
        )


INTERACTIVE = CallLimits(connect_seconds=1, read_seconds=2, attempts=2)
"""For the API: a client waits. All tries together stay well below the relay's first look at an order (30 s), so nobody
else publishes an order's event while a put of it is still being retried."""

PATIENT = CallLimits(connect_seconds=2, read_seconds=5, attempts=3)
"""For workers and commands: nobody waits, and the visibility timeout is 60 s."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise `Contention` or `Unavailable` for what AWS says inside. ``what`` names the call in the error.

    A missing permission or resource is unavailable too: an operator will mend it, and the work waits for that. Raised
    as they are: a request that AWS calls malformed, since that is a bug here, and a failed condition, since only the
    caller knows what it means.
    """
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _OUR_MISTAKE | _CONDITION_FAILED:
            raise
        raise (Contention if code in CONTENTION else Unavailable)(f"{what}: {error}") from error
    except BotoCoreError as error:
        raise Unavailable(f"{what}: {error}") from error
