"""Which errors of AWS are contention, which an outage, which a failure of one message, and what is asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from shopflow.aws.calls import translated
from shopflow.aws.tables import MAX_BATCH_GET, PAUSES, _failure, batch_get
from shopflow.errors import BadAnswer, Contention, Unavailable

API_SECONDS = 2.0
"""How long the API may wait for a batch in all, beside the calls themselves."""


def raised(code: str, status: int = 400) -> type[BaseException]:
    answer: Any = {"Error": {"Code": code, "Message": "…"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    try:
        with translated("Call"):
            raise ClientError(answer, "Call")
    except Exception as caught:
        return type(caught)


@pytest.mark.parametrize(
    ("expected", "codes"),
    [
        (Contention, "ThrottlingException ThrottlingError TransactionConflictException RequestLimitExceeded"),
        (Unavailable, "AccessDenied AccessDeniedException AuthorizationError ExpiredTokenException"),
        (Unavailable, "ResourceNotFoundException ResourceNotFound AWS.SimpleQueueService.NonExistentQueue NotFound"),
        (Unavailable, "KMSDisabledException KmsAccessDenied InternalServerError ServiceUnavailable"),
        (ClientError, "NobodyKnows InvalidParameter ParameterValueInvalid InvalidMessageContents ValidationException"),
        (ClientError, "ItemCollectionSizeLimitExceeded ValidationError"),
    ],
)
def test_an_error_of_a_call_or_a_statement_is_contention_an_outage_or_a_failure_of_one_message(
    expected: type[BaseException], codes: str
) -> None:
    of_a_statement = BadAnswer if expected is ClientError else expected
    for code in codes.split():
        assert raised(code) is expected, code
        assert type(_failure({"Error": {"Code": code, "Message": "…"}})) is of_a_statement, code


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_unknown_code_with_a_servers_status_is_an_outage(status: int) -> None:
    assert raised("NobodyKnows", status) is Unavailable


def test_a_connection_that_cannot_be_made_is_an_outage() -> None:
    with pytest.raises(Unavailable), translated("Call"):
        raise EndpointConnectionError(endpoint_url="http://x")


class Client:
    """DynamoDB that processes ``taken`` keys of a call, the first ones, and leaves the others."""

    def __init__(self, taken: int) -> None:
        self.calls: list[list[str]] = []
        self._taken = taken

    def batch_get_item(self, **request: Any) -> Any:
        ids = [key["orderId"]["S"] for key in request["RequestItems"]["orders"]["Keys"]]
        self.calls.append(ids)
        left = [{"orderId": {"S": one}} for one in ids[self._taken :]]
        answer = {"Responses": {"orders": [{"orderId": {"S": one}} for one in ids[: self._taken]]}}
        return answer | ({"UnprocessedKeys": {"orders": {"Keys": left}}} if left else {})


def read(client: Any, ids: Sequence[str], slept: list[float], rand: float = 1.0) -> None:
    """Read these orders. ``slept`` gets the seconds of each pause."""
    pauses = replace(PAUSES, rand=lambda: rand)
    list(batch_get(client, "orders", "orderId", ids, consistent=True, pauses=pauses, sleep=slept.append))


def test_what_stays_unprocessed_is_asked_for_again_after_growing_pauses() -> None:
    client, slept = Client(taken=1), list[float]()
    read(client, ["a", "b", "c", "d"], slept)
    assert client.calls == [["a", "b", "c", "d"], ["b", "c", "d"], ["c", "d"], ["d"]]
    first, second, third = slept
    assert 0.04 <= first < second < third


@pytest.mark.parametrize("count", [1, 4 * MAX_BATCH_GET])
@pytest.mark.parametrize("rand", [0.0, 1.0])
def test_what_stays_unprocessed_for_long_is_contention_in_a_bounded_time_for_all_that_is_read(
    count: int, rand: float
) -> None:
    client, slept = Client(taken=0), list[float]()
    with pytest.raises(Contention, match="unprocessed"):
        read(client, [str(number) for number in range(count)], slept, rand)
    assert len(client.calls) == len(slept) + 1 >= 5
    assert 0.5 < sum(slept) < API_SECONDS
