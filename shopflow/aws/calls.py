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
        "Throttled",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "SlowDown",
        "RequestLimitExceeded",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
    }
)
"""Codes of a refusal because of other work at the same time, as errors and as cancellation reasons (AWS, DynamoDB
developer guide, "Error handling" and "Transactions")."""

OUTAGES = frozenset(
    {
        # The service itself fails.
        "InternalError",
        "InternalErrorException",
        "InternalFailure",
        "InternalServerError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        "RequestExpired",
        # An operator will fix it: a missing permission, expired credentials, a missing resource, a disabled key.
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "AuthorizationError",
        "AuthorizationErrorException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
        "AWS.SimpleQueueService.NonExistentQueue",
        "NotFound",
        "NotFoundException",
        "QueueDoesNotExist",
        "ResourceInUseException",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "TableNotFoundException",
    }
)
"""Codes that say nothing about the message at hand: the work waits until the dependency is back (AWS, "Common errors"
of DynamoDB, SNS and SQS). Every code that starts with KMS, in any case, is one too: the key is disabled or missing."""

_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500


def outage_of(code: str, status: int = 400) -> type[Unavailable] | None:
    """Which outage an AWS error code, or else its HTTP status, stands for; None: the code is about the message itself.

    A code that nobody knows is None: it fails one message, which then reaches its dead-letter queue with its reason.
    Taken for an outage it would block a whole queue.
    """
    if code in CONTENTION or status == _TOO_MANY_REQUESTS:
        return Contention
    is_outage = code in OUTAGES or code.upper().startswith(("KMS", "AWS.SIMPLEQUEUESERVICE.KMS"))
    return Unavailable if is_outage or status >= _SERVER_ERROR else None


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
            max_pool_connections=100,
            parameter_validation=False,  # AWS validates too; here it is a fifth of a call's processor time
        )


INTERACTIVE = CallLimits(connect_seconds=1, read_seconds=2, attempts=2)
"""For the API: a client waits. All tries together stay well below the relay's first look at an order (30 s), so nobody
else publishes an order's event while a put of it is still being retried."""

PATIENT = CallLimits(connect_seconds=2, read_seconds=5, attempts=3)
"""For workers and commands: nobody waits, and the visibility timeout is 60 s."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise `Contention` or `Unavailable` for an outage inside. ``what`` names the call in the error.

    Every other error of AWS is raised as it is: a malformed request is a bug here, a failed condition means what its
    caller knows, and an unknown code fails the message at hand.
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
