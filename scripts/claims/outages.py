"""Claims 1 and 2: a slow payment gateway, and a notification service that crashes."""

from __future__ import annotations

import time
from statistics import median

from scripts.claims.lab import MUG, Lab, Verdict, completed
from scripts.e2e import wait_for
from shopflow.domain.order import Status

SLOW_MS = 5000
SLOW_SECONDS = 20
MAX_POST_MS = 500
"""A tenth of the gateway's latency. An API that waited for the gateway could not answer so fast."""
UNTOLD = 5
WATCH_SECONDS = 6
"""The page draws the messages on their way to the queue more slowly than they travel."""


def slow_payment(lab: Lab) -> Verdict:
    """The API answers in milliseconds while the gateway takes 5 s."""
    lab.stock(MUG, 40)
    lab.step("We place 10 orders, to see how fast POST /orders usually answers.")
    ids, before = lab.timed_orders(10)
    lab.evidence("POST p50 before", f"{median(before):.0f} ms")
    usual = lab.running.supervisor.env_of("payment")
    slow = dict.fromkeys(("PAYMENT_LATENCY_MIN_MS", "PAYMENT_LATENCY_MAX_MS"), str(SLOW_MS))
    lab.step("We restart the Payment Service with a gateway that takes 5 s for each charge.")
    lab.running.supervisor.restart("payment", {**usual, **slow})
    try:
        ends = time.monotonic() + SLOW_SECONDS
        lab.step("We place 30 orders while the gateway is slow.")
        more, during = lab.timed_orders(30)
        lab.evidence("POST p50 during", f"{median(during):.0f} ms")
        depth = wait_for(lambda: lab.backlog("payment"), lambda seen: seen.total > 1, 10).total
        lab.evidence("orders in the payment queue", depth)
        lab.step("The orders wait in the payment queue. No customer waits.")
        time.sleep(max(0.0, ends - time.monotonic()))
    finally:
        lab.step("We restart the Payment Service with its usual gateway.")
        lab.running.supervisor.restart("payment", usual)
    done = completed(lab.ended([*ids, *more]))
    lab.evidence("completed afterwards", f"{done} of {len(ids) + len(more)}")
    holds = median(during) < MAX_POST_MS and depth > 1 and done == len(ids) + len(more)
    return Verdict(holds, f"POST took {median(during):.0f} ms while each charge took 5 s; {done} orders completed.")


def crashed_notification(lab: Lab) -> Verdict:
    """A crash of the notification service loses nothing."""
    lab.stock(MUG, UNTOLD)
    [pid, *_] = [lab.running.supervisor.pids().get(label) for label in lab.running.supervisor.labels("notification")]
    lab.step(f"We kill the Notification Service (SIGKILL to process {pid}).")
    lab.running.supervisor.kill("notification")
    try:
        # The long poll of the dead process is still open, and would take a message.
        time.sleep(lab.running.config.receive_wait_seconds + 1)
        lab.step(f"We place {UNTOLD} orders.")
        ids = [lab.order() for _ in range(UNTOLD)]
        paid = [one for one in lab.until(Status.PAYMENT_PROCESSED, ids) if one.status is Status.PAYMENT_PROCESSED]
        lab.evidence("orders paid without it", f"{len(paid)} of {UNTOLD}")
        depth = wait_for(lambda: lab.backlog("notification"), lambda seen: seen.total >= UNTOLD, 10).total
        lab.evidence("messages that wait in its queue", depth)
        lab.step(
            "All are paid. A message for each of them waits in the notification queue, which is not in the process."
        )
        time.sleep(WATCH_SECONDS)
    finally:
        lab.step("The Notification Service comes back.")
        lab.running.supervisor.start("notification")
    done = completed(lab.ended(ids))
    lab.evidence("completed afterwards", f"{done} of {UNTOLD}")
    left = wait_for(lambda: lab.backlog("notification"), lambda seen: not seen.total, 10).total
    lab.evidence("messages left in its queue", left)
    holds = len(paid) == done == UNTOLD and depth >= UNTOLD
    return Verdict(holds, f"{depth} messages waited while it was dead. All {done} orders are completed.")
