"""The seven claims of an event-driven shop, each with an experiment on the running stack."""

from scripts.claims.adding import added_service
from scripts.claims.history import compliance, debugging
from scripts.claims.lab import Claim
from scripts.claims.outages import crashed_notification, slow_payment
from scripts.claims.stock import last_item, scaled_inventory

CLAIMS = (
    Claim(
        1,
        "A slow payment provider does not slow the shop",
        "The payment provider takes seconds to answer.",
        "The gateway takes 5 s for 20 s. We place 30 orders, and watch POST and the payment queue.",
        45,
        slow_payment,
    ),
    Claim(
        2,
        "A crashed service loses nothing",
        "The notification service crashes.",
        "We kill its process. Orders are paid, its queue fills, it comes back.",
        15,
        crashed_notification,
    ),
    Claim(
        3,
        "A new service changes no existing one",
        "Fraud detection has to be added.",
        "Terraform makes the queue of examples/fraud, its process starts, and it flags a large order.",
        180,
        added_service,
    ),
    Claim(
        4,
        "The last item is sold once",
        "Two customers race for the last item.",
        "The stock is 1. Two orders come at the same moment.",
        10,
        last_item,
    ),
    Claim(
        5,
        "Every step is on record",
        "Compliance asks what happened to an order, and whether anybody changed the record.",
        "We read a trail, replay it to each moment, and try to change an entry.",
        10,
        compliance,
    ),
    Claim(
        6,
        "Inventory scales on its own",
        "Inventory gets more orders than one process handles.",
        "Three inventory processes share one queue, and 60 orders come.",
        25,
        scaled_inventory,
    ),
    Claim(
        7,
        "A failed order can be debugged",
        "An order failed, and nobody knows why.",
        "We read a declined order's history, find a poisoned message, and redrive a failed one.",
        30,
        debugging,
    ),
)
