"""Which errors of AWS are contention, which an outage, and which a failure of one message."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from shopflow.aws.calls import translated
from shopflow.aws.tables import _failure
from shopflow.errors import BadAnswer, Contention, Unavailable


def error(code: str, status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "…"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Call")


def raised(code: str, status: int = 400) -> type[BaseException]:
    try:
        with translated("Call"):
            raise error(code, status)
    except Exception as caught:
        return type(caught)


@pytest.mark.parametrize(
    ("expected", "codes"),
    [
        (Contention, "ThrottlingException TransactionConflictException RequestLimitExceeded"),
        (Unavailable, "AccessDenied AccessDeniedException AuthorizationError ExpiredTokenException"),
        (Unavailable, "ResourceNotFoundException AWS.SimpleQueueService.NonExistentQueue NotFound"),
        (Unavailable, "KMSDisabledException KmsAccessDenied InternalServerError ServiceUnavailable"),
        (ClientError, "NobodyKnows InvalidParameter ParameterValueInvalid InvalidMessageContents ValidationException"),
    ],
)
def test_an_error_code_is_contention_an_outage_or_a_failure_of_one_message(
    expected: type[BaseException], codes: str
) -> None:
    assert {code: raised(code) for code in codes.split()} == dict.fromkeys(codes.split(), expected)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_unknown_code_with_a_servers_status_is_an_outage(status: int) -> None:
    assert raised("NobodyKnows", status) is Unavailable


def test_a_connection_that_cannot_be_made_is_an_outage() -> None:
    with pytest.raises(Unavailable), translated("Call"):
        raise EndpointConnectionError(endpoint_url="http://x")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ThrottlingError", Contention),
        ("InternalServerError", Unavailable),
        ("AccessDenied", Unavailable),
        ("ResourceNotFound", Unavailable),
        ("ItemCollectionSizeLimitExceeded", BadAnswer),
        ("ValidationError", BadAnswer),
        ("NobodyKnows", BadAnswer),
    ],
)
def test_a_statement_of_the_audit_log_fails_by_the_same_rule(code: str, kind: type[Exception]) -> None:
    assert type(_failure({"Error": {"Code": code, "Message": "…"}})) is kind


def test_a_statement_without_an_error_has_not_failed() -> None:
    assert _failure({}) is None
