"""What is simulated of a flash sale, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bench.flash_sale_parameters import WORKERS
from shopflow.messaging.consumer import RETRY
from shopflow.messaging.retry import Backoff

HOT = 0.6
STOCK_SHARE = 0.15
"""Units of the hot product for each order of the sale: a quarter of those who want one get one."""
SHORT = Backoff(first_seconds=0.05, factor=2, most_seconds=1)


@dataclass(frozen=True, slots=True)
class Scenario:
    """``orders_per_second`` for ``seconds``, a share ``hot`` of them (0-1) for one product with ``stock`` units.

    ``receives`` of ten messages each go into one transaction of the Inventory Service; the product's stock lies in
    ``rows``; ``batched_releases``: the stock of all declined orders of a batch goes back in one transaction;
    ``pause``: for how long a batch that was refused waits.
    """

    name: str
    orders_per_second: int
    seconds: float
    hot: float = 0
    stock: int = 0
    receives: int = 1
    rows: int = 1
    batched_releases: bool = False
    pause: Backoff = RETRY


def scenarios(orders_per_second: int, seconds: float) -> list[Scenario]:
    """The same load with no hot product, with one, and with one measure more each time against what is in the way."""
    even = Scenario("evenly spread", orders_per_second, seconds)
    sale = replace(even, name="flash sale", hot=HOT, stock=round(orders_per_second * seconds * STOCK_SHARE))
    releases = replace(sale, name="+ releases in one transaction", batched_releases=True)
    pauses = replace(releases, name="+ short pauses after a conflict", pause=SHORT)
    larger = replace(pauses, name="+ 90 orders a transaction", receives=9)
    rows = replace(larger, name="+ stock in 10 rows", rows=10)
    return [even, sale, releases, pauses, larger, rows]


@dataclass
class Outcome:
    """What came of a scenario. Times in seconds after the sale opened; ``backlog`` by service at each of ``times``."""

    scenario: Scenario
    threads: Mapping[str, int]
    counts: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    backlog: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in WORKERS})
    most_in_flight: int = 0
    done_at: float = 0
    published: Counter[int] = field(default_factory=Counter)
    row_writes: Counter[tuple[int, int]] = field(default_factory=Counter)

    @property
    def largest_backlog(self) -> int:
        return max(max(seen) for seen in self.backlog.values())

    @property
    def conflicts_for_each_made(self) -> float:
        """Transactions on the hot product that were refused, for each that was made."""
        return self.counts["conflicts"] / max(1, self.counts["attempts"] - self.counts["conflicts"])

    @property
    def most_published_a_second(self) -> int:
        return max(self.published.values(), default=0)

    @property
    def most_units_of_a_row(self) -> int:
        return max(self.row_writes.values(), default=0)
