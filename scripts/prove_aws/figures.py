"""What an order uses of AWS: the count over the in-memory twins beside what CloudWatch has measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shopflow.catalog import load_catalog
from shopflow.domain.order import LEGAL_TRAILS, Status

CALLS = {
    "BatchExecuteStatement": (2.4, 3.5),
    "BatchGetItem": (0.41, 5.0),
    "TransactWriteItems": (0.1, 1.0),
}
"""Calls of DynamoDB of a paid order of one line: in full batches, and when it is alone (`python -m tests.counting`)."""
UNITS = {"WriteCapacityUnits": (10.2, 12.0), "ReadCapacityUnits": (3.105, 4.5)}
"""Its units, from the same count."""
TABLES = ("orders", "inventory", "events")


@dataclass(frozen=True, slots=True)
class Figure:
    """A CloudWatch metric, added up over ``dimensions``. ``least`` and ``most`` were counted, of one order."""

    namespace: str
    metric: str
    least: float
    most: float
    dimensions: Sequence[dict[str, str]]
    statistic: str = "Sum"

    @property
    def title(self) -> str:
        return " ".join([self.namespace, self.metric, *filter(None, {one.get("Operation") for one in self.dimensions})])

    def measured(self, cloudwatch: Any, began: datetime, until: datetime) -> float | None:
        """Its sum between the two times; None while CloudWatch has no data of it."""
        queries = []
        for number, dimensions in enumerate(self.dimensions):
            named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
            metric = {"Namespace": self.namespace, "MetricName": self.metric, "Dimensions": named}
            stat = {"Metric": metric, "Period": 60, "Stat": self.statistic}
            queries.append({"Id": f"m{number}", "MetricStat": stat})
        answer = cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=began, EndTime=until)
        values = [value for result in answer["MetricDataResults"] for value in result["Values"]]
        return sum(values) if values else None


def figures(prefix: str) -> Iterator[Figure]:
    """What a paid order of one line should use."""
    events, consumers = LEGAL_TRAILS[Status.COMPLETED], load_catalog().consumers
    sent = sum(event in service.consumes for event in events for service in consumers)
    queues = [{"QueueName": f"{prefix}-{service.name}-queue"} for service in consumers]
    functions = [{"FunctionName": f"{prefix}-{name}"} for name in ("order", *(service.name for service in consumers))]
    tables = [{"TableName": f"{prefix}-{name}"} for name in TABLES]
    index = {"TableName": f"{prefix}-orders", "GlobalSecondaryIndexName": "open-orders"}
    topic = {"TopicName": f"{prefix}-orders"}
    yield Figure("AWS/SNS", "NumberOfMessagesPublished", len(events), len(events), [topic])
    yield Figure("AWS/SQS", "NumberOfMessagesSent", sent, sent, queues)
    yield Figure("AWS/SQS", "NumberOfMessagesDeleted", sent, sent, queues)
    yield Figure("AWS/Lambda", "Invocations", 1 + sent / 10, 1 + sent, functions)
    for operation, bounds in CALLS.items():
        calls = [{**table, "Operation": operation} for table in tables]
        yield Figure("AWS/DynamoDB", "SuccessfulRequestLatency", *bounds, calls, "SampleCount")
    for unit, bounds in UNITS.items():
        yield Figure("AWS/DynamoDB", f"Consumed{unit}", *bounds, [*tables, index])
