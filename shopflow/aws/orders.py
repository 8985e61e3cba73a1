"""The orders table, and the one transaction that it shares with the inventory table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from shopflow.aws.calls import outage_of, translated
from shopflow.aws.items import (
    ATTRIBUTES,
    Item,
    all_readable,
    attribute_value,
    order_from_item,
    order_to_item,
    readable,
)
from shopflow.aws.tables import batch_get
from shopflow.domain.order import EventHeader, Order, Transition, was_committed
from shopflow.domain.times import to_ms
from shopflow.errors import Conflict
from shopflow.ports import OpenOrder, check_transaction

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ID_IS_FREE = "attribute_not_exists(orderId)"
ENOUGH_IN_STOCK = "stock >= :units"
PRODUCT_EXISTS = "attribute_exists(productId)"
_FAILED = "ConditionalCheckFailed"


class DynamoOrders:
    """`shopflow.ports.Orders` on DynamoDB."""

    def __init__(self, client: DynamoDBClient, orders_table: str, inventory_table: str, open_orders_index: str) -> None:
        self._client = client
        self._orders_table = orders_table
        self._inventory_table = inventory_table
        self._index = open_orders_index

    def create(self, order: Order) -> Order:
        try:
            with translated("PutItem order"):
                self._client.put_item(
                    TableName=self._orders_table,
                    Item=order_to_item(order),
                    ConditionExpression=ID_IS_FREE,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            return self._standing([error.response])[order.order_id]
        return order

    def read(self, order_ids: Collection[str]) -> dict[str, Order]:
        items = batch_get(self._client, self._orders_table, "orderId", sorted(set(order_ids)), consistent=True)
        return {order.order_id: order for order in self._readable(items)}

    def commit(self, transitions: Sequence[Transition], stock: Mapping[str, int] | None = None) -> None:
        check_transaction(transitions, stock or {})
        if len(transitions) == 1 and not stock:
            self._update(transitions[0])
        else:
            self._transact(transitions, stock or {})

    def _update(self, transition: Transition) -> None:
        try:
            with translated("UpdateItem order"):
                self._client.update_item(**_update_of(transition, self._orders_table))
        except self._client.exceptions.ConditionalCheckFailedException as error:
            _unless_made([transition], self._standing([error.response]), frozenset())

    def _transact(self, transitions: Sequence[Transition], stock: Mapping[str, int]) -> None:
        updates = [_update_of(transition, self._orders_table) for transition in transitions]
        updates += [_stock_update(product_id, units, self._inventory_table) for product_id, units in stock.items()]
        try:
            with translated("TransactWriteItems"):
                self._client.transact_write_items(TransactItems=[{"Update": update} for update in updates])
        except self._client.exceptions.TransactionCanceledException as error:
            self._explain(error, transitions, list(stock))

    def open_orders(self) -> Iterator[OpenOrder]:
        pages = self._client.get_paginator("scan").paginate(TableName=self._orders_table, IndexName=self._index)
        with translated("Scan open orders"):
            for page in pages:
                yield from readable(page["Items"], _open_order, self._index, "orderId")

    def all(self) -> Iterator[Order]:
        pages = self._client.get_paginator("scan").paginate(TableName=self._orders_table, ConsistentRead=True)
        with translated("Scan orders"):
            for page in pages:
                yield from self._readable(page["Items"])

    def _explain(self, error: ClientError, transitions: Sequence[Transition], products: Sequence[str]) -> None:
        """Raise what a cancelled transaction means; return if it means that an earlier try of it was committed."""
        reasons: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", [])
        codes = [reason.get("Code", "None") for reason in reasons]
        failed = [reason if code == _FAILED else None for reason, code in zip(reasons, codes, strict=True)]
        standing = self._standing([reason for reason in failed[: len(transitions)] if reason])
        of_stock = zip(products, failed[len(transitions) :], strict=True)
        if any(failed):
            _unless_made(transitions, standing, frozenset(product_id for product_id, reason in of_stock if reason))
        elif outage := next(filter(None, map(outage_of, codes)), None):
            raise outage(f"TransactWriteItems: {codes}") from error
        else:
            raise error

    def _readable(self, items: Iterable[Item]) -> Iterator[Order]:
        return readable(items, order_from_item, self._orders_table, "orderId")

    def _standing(self, failures: Sequence[Mapping[str, Any]]) -> dict[str, Order]:
        """The orders that made conditions fail (ReturnValuesOnConditionCheckFailure), by id. Only those that exist."""
        items = [failure["Item"] for failure in failures if "Item" in failure]
        orders = all_readable(items, order_from_item, self._orders_table, "orderId")
        return {order.order_id: order for order in orders}


def _open_order(item: Item) -> OpenOrder:
    return OpenOrder(str(item["orderId"]["S"]), to_ms(item["openedAt"]["S"]))


def _unless_made(transitions: Sequence[Transition], standing: Mapping[str, Order], short: frozenset[str]) -> None:
    """Raise `Conflict`, unless an order as it stands shows that the commit was made and only its answer was lost."""
    if not was_committed(transitions, standing):
        raise Conflict(standing, short)


def _update_of(transition: Transition, table: str) -> Any:
    """The UpdateItem of one step: only the changed attributes, under the conditions of its guard."""
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    sets, removes = [], []
    for field, value in transition.changes().items():
        names[f"#{field}"] = ATTRIBUTES[field]
        if value is None:
            removes.append(f"#{field}")
        else:
            values[f":{field}"] = attribute_value(field, value)
            sets.append(f"#{field} = :{field}")
    conditions = [_still(field, getattr(transition.before, field), names, values) for field in transition.guard]
    clauses = [f"SET {', '.join(sets)}" if sets else "", f"REMOVE {', '.join(removes)}" if removes else ""]
    return {
        "TableName": table,
        "Key": {"orderId": {"S": transition.before.order_id}},
        "UpdateExpression": " ".join(filter(None, clauses)),
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _still(field: str, value: Any, names: dict[str, str], values: dict[str, Any]) -> str:
    """The condition that the attribute of ``field`` still has ``value``. An outbox is compared by its event's id."""
    names[f"#{field}"] = ATTRIBUTES[field]
    if value is None:
        return f"attribute_not_exists(#{field})"
    if isinstance(value, EventHeader):
        values[f":{field}_read"] = {"S": value.event_id}
        return f"#{field}.eventId = :{field}_read"
    values[f":{field}_read"] = attribute_value(field, value)
    return f"#{field} = :{field}_read"


def _stock_update(product_id: str, units: int, table: str) -> Any:
    """The UpdateItem that adds ``units`` to a product's stock, or takes them if that many are there."""
    condition = ENOUGH_IN_STOCK if units < 0 else PRODUCT_EXISTS
    return {
        "TableName": table,
        "Key": {"productId": {"S": product_id}},
        "UpdateExpression": "ADD stock :change",
        "ConditionExpression": condition,
        "ExpressionAttributeValues": {":change": {"N": str(units)}}
        | ({":units": {"N": str(-units)}} if units < 0 else {}),
    }
