"""The operator's page, as its user works with it."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from tests.live import Live, eventually

TOKEN = "a-token-for-the-operators-page"  # noqa: S105 (of this test run only)


@dataclass(frozen=True, slots=True)
class Operator:
    """``page`` shows it; behind it is ``live``."""

    page: Page
    live: Live

    def sign_in(self) -> None:
        """By the link that `make run-all` prints. The answer to it is 401, which the browser's console notes."""
        self.page.goto(f"/ops#{TOKEN}")
        self.expect_live()

    def expect_live(self) -> None:
        expect(self.page.locator("#ops-connection")).to_have_attribute("data-state", "live")

    def queue(self, service: str, column: str) -> Locator:
        return self.page.locator(f"#queue-rows [data-service={service}]").get_by_test_id(column)

    def figure(self, name: str) -> Locator:
        return self.page.locator(f"#figures [data-figure={name}] dd")

    def look_at(self, title: str) -> None:
        """Look into the dead-letter queue of the service with that title."""
        self.page.get_by_role("button", name=f"Look at the dead letters of {title}").click()

    @property
    def letters(self) -> Locator:
        return self.page.locator("#letters [data-message]")

    def send_dead(self, service: str, text: str) -> None:
        """Put a message into the dead-letter queue of a service."""
        self.live.sqs.send_message(QueueUrl=self.live.config.resources.dlq_urls[service], MessageBody=text)

    def bury(self, service: str) -> None:
        """Receive the one message that waits for a service, which must not run, until SQS gives up on it."""
        url = self.live.config.resources.queue_urls[service]
        letters = self.live.aws.dead_letters(service)

        def receive() -> int:
            self.live.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=0)
            return letters.depth()

        eventually(receive, bool)
