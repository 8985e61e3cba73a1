"""Time limits for AWS calls, and the translation of AWS errors into ours."""

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
        "TransactionInProgress",
        "ThrottlingError",
        "Throttled",
        "Throttling",
        "RequestThrottled",
        "TooManyRequests",
        "BandwidthLimitExceeded",
        "LimitExceeded",
        "PriorRequestNotComplete",
        "SlowDown",
        "RequestLimitExceeded",
        "ProvisionedThroughputExceeded",
    }
)
"""AWS refuses because of other work, as an error or as a cancellation reason (AWS, DynamoDB developer guide, "Error
handling" and "Transactions"). Here and below, a code may also end in ``Exception``."""

OUTAGES = frozenset(
    {
        # The service itself fails.
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "ServiceUnavailable",
        "RequestTimeout",
        "RequestExpired",
        # An operator must fix it: a missing permission, expired credentials, a missing resource, a disabled key.
        "AccessDenied",
        "AuthFailure",
        "AuthorizationError",
        "ExpiredToken",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignature",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClient",
        "AWS.SimpleQueueService.NonExistentQueue",
        "NotFound",
        "QueueDoesNotExist",
        "ResourceInUse",
        "ResourceNotFound",
        "TableNotFound",
    }
)
"""Codes that say nothing about the message at hand: the work waits until the dependency is back (AWS, "Common errors"
of DynamoDB, SNS and SQS). So does every code that starts with KMS, in any case: the key is disabled or missing."""

_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500


def outage_of(code: str, status: int = 400) -> type[Unavailable] | None:
    """The outage that an AWS error code or its HTTP status means; None if the error is about the message itself.

    An unknown code is None: it fails one message, which reaches its dead-letter queue with its reason. As an outage it
    would block the whole queue.
    """
    name = code.removesuffix("Exception")
    if name in CONTENTION or status == _TOO_MANY_REQUESTS:
        return Contention
    is_outage = name in OUTAGES or code.upper().startswith(("KMS", "AWS.SIMPLEQUEUESERVICE.KMS"))
    return Unavailable if is_outage or status >= _SERVER_ERROR else None


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long a call may take: seconds to connect, seconds without data, and the number of attempts."""

    connect_seconds: float
    read_seconds: float
    attempts: int

    def boto_config(self, extra_read_seconds: float = 0) -> BotoConfig:
        return BotoConfig(
            connect_timeout=self.connect_seconds,
            read_timeout=self.read_seconds + extra_read_seconds,
            retries={"mode": "standard", "total_max_attempts": self.attempts},
            max_pool_connections=100,
            parameter_validation=False,  # AWS validates too; here it is a fifth of a call's processor time
        )


INTERACTIVE = CallLimits(connect_seconds=1, read_seconds=2, attempts=2)
"""For the API, whose client waits. All attempts together take much less than the relay's first look at an order (30 s),
so the relay never publishes the event of an order that is still being inserted."""

PATIENT = CallLimits(connect_seconds=2, read_seconds=5, attempts=3)
"""For workers and commands. No client waits, and the visibility timeout is 60 s."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise `Contention` or `Unavailable` for an outage inside the block. ``what`` names the call in the error.

    Every other AWS error passes unchanged: a malformed request is a bug here, the caller handles a failed condition,
    and an unknown code fails the message at hand.
    """
    try:
        yield
    except ClientError as error:
        answer = error.response
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        outage = outage_of(answer.get("Error", {}).get("Code", ""), status)
        if outage is None:
            raise
        raise outage(f"{what}: {error}") from error
    except BotoCoreError as error:
        raise Unavailable(f"{what}: {error}") from error
