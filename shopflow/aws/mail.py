"""Mails through Amazon SES, by the first version of its API: every local AWS has it, and both need the same right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from shopflow.aws.calls import PATIENT, outage_of
from shopflow.config import Config
from shopflow.errors import BadAnswer, Unavailable
from shopflow.ports import Mail

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

REFUSALS = frozenset(
    {
        "AccountSendingPausedException",
        "ConfigurationSetSendingPausedException",
        "MailFromDomainNotVerifiedException",
        "MessageRejected",
    }
)
"""SES refused, and the mail waits until an operator has verified the sender, left SES's sandbox or resumed sending
(Amazon SES API reference, SendEmail)."""


class SesMailer:
    """`shopflow.ports.Mailer` of mails with an address. ``client`` makes one attempt: a second could be a second mail.

    No error has the text of SES, because that can contain the customer's address.
    """

    def __init__(self, client: SESClient, sender: str) -> None:
        self._client = client
        self._sender = sender

    def send(self, mail: Mail) -> None:
        if mail.address is None:
            raise ValueError(f"{mail.order_id}: a mail without an address")
        try:
            self._client.send_email(
                Source=self._sender,
                Destination={"ToAddresses": [mail.address]},
                Message={
                    "Subject": {"Data": mail.subject, "Charset": "UTF-8"},
                    "Body": {"Text": {"Data": mail.text, "Charset": "UTF-8"}},
                },
            )
        except ClientError as error:
            raise _translated(error) from None
        except BotoCoreError as error:
            raise Unavailable(f"SendEmail: {type(error).__name__}") from None


def _translated(error: ClientError) -> Exception:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    outage = Unavailable if code in REFUSALS else outage_of(code, status) or BadAnswer
    return outage(f"SendEmail: {code}")


def verify_sender(config: Config) -> bool:
    """Let a local AWS send from MAIL_FROM. Returns whether it can. On AWS the address's owner has to verify it."""
    client = boto3.client(
        "ses", region_name=config.region, endpoint_url=config.endpoint_url, config=PATIENT.boto_config()
    )
    try:
        client.verify_email_identity(EmailAddress=config.mail_from or "")
    except (ClientError, BotoCoreError):
        return False
    return True
