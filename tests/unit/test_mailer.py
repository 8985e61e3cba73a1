"""How a mail goes out, and what its sender hears when Amazon SES refuses it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from shopflow.aws.mail import SesMailer
from shopflow.errors import BadAnswer, Contention, Unavailable
from shopflow.ports import Mail
from tests.taps import CountingMailer
from workers.notification import OrderMailer

ADDRESS = "customer@shop.example"
MAIL = Mail("CUST-001", "ORD-A1B2C3D4", "01", "Order confirmed", "Thank you.", ADDRESS)


class Ses:
    """A client that fails with ``error``, if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.sent: list[dict[str, Any]] = []

    def send_email(self, **request: Any) -> None:
        if self._error:
            raise self._error
        self.sent.append(request)


def mailer(ses: Ses) -> SesMailer:
    return SesMailer(cast(Any, ses), "orders@shop.example")


def refusal(code: str) -> ClientError:
    text = f"the following identities failed the check: {ADDRESS}"
    return ClientError({"Error": {"Code": code, "Message": text}}, "SendEmail")


def test_a_mail_has_one_recipient_and_the_configured_sender() -> None:
    ses = Ses()
    mailer(ses).send(MAIL)
    [request] = ses.sent
    assert (request["Source"], request["Destination"]) == ("orders@shop.example", {"ToAddresses": [ADDRESS]})


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (refusal("Throttling"), Contention),
        (refusal("MessageRejected"), Unavailable),
        (refusal("AccessDenied"), Unavailable),
        (refusal("InvalidParameterValue"), BadAnswer),
        (ReadTimeoutError(endpoint_url=f"https://ses/?to={ADDRESS}"), Unavailable),
    ],
    ids=str,
)
def test_an_error_says_what_to_do_but_never_to_whom(error: Exception, raised: type[Exception]) -> None:
    with pytest.raises(raised) as caught:
        mailer(Ses(error)).send(MAIL)
    assert caught.type is raised
    assert ADDRESS not in str(caught.value)
    assert caught.value.__suppress_context__  # so no traceback in the log has it either


def test_without_an_address_or_a_sender_the_mail_is_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="workers.notification")
    post = CountingMailer()
    OrderMailer(None).send(MAIL)
    OrderMailer(post).send(Mail("CUST-001", "ORD-A1B2C3D4", "01", "Order confirmed", "Thank you."))
    assert [record.getMessage() for record in caplog.records] == ["to CUST-001: Order confirmed\nThank you."] * 2
    assert ADDRESS not in caplog.text
    OrderMailer(post).send(MAIL)
    assert (post.sent, len(caplog.records)) == ({MAIL.order_id: 1}, 2)
