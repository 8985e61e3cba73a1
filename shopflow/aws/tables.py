"""The orders, inventory and events tables on DynamoDB."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from shopflow.aws.calls import outage_of, translated
from shopflow.aws.items import (
    ATTRIBUTES,
    Item,
    all_readable,
    attribute_value,
    audit_from_item,
    audit_to_item,
    order_from_item,
    order_to_item,
    product_from_item,
    product_to_item,
    readable,
)
from shopflow.domain.event import Event
from shopflow.domain.order import EventHeader, Order, Transition, was_committed
from shopflow.domain.stock import Product
from shopflow.domain.times import to_ms
from shopflow.errors import BadAnswer, Conflict, Contention, MalformedRow
from shopflow.messaging.group_commit import GroupCommit
from shopflow.messaging.retry import Backoff
from shopflow.ports import MAX_STATEMENTS, AuditEntry, OpenOrder, check_transaction

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


T = TypeVar("T")
MAX_BATCH_GET = 100
"""DynamoDB: keys in one BatchGetItem."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Up to ``most`` pauses, each before asking again for what DynamoDB left unprocessed because it throttles."""

    backoff: Backoff
    most: int
    sleep: Callable[[float], None] = time.sleep


SHORT = Pauses(Backoff(first_seconds=0.05, factor=2, most_seconds=0.8), most=5)
"""1.55 s at most: a client of the API may be waiting."""


class Rounds:
    """The pauses of one batch, over all its calls. ``what`` names the batch in the error."""

    def __init__(self, pauses: Pauses, what: str) -> None:
        self._pauses = pauses
        self._what = what
        self._made = 0

    def wait(self) -> None:
        """Pause before the next call. Raises `Contention` after the last pause."""
        if self._made == self._pauses.most:
            raise Contention(f"{self._what}: some stay unprocessed")
        self._made += 1
        self._pauses.sleep(self._pauses.backoff.delay(self._made))


def batch_get(
    client: DynamoDBClient, table: str, key: str, ids: Sequence[str], *, consistent: bool, pauses: Pauses = SHORT
) -> Iterator[Item]:
    """The items that exist among ``ids`` (values of the string attribute ``key``), unsorted. Any number of ids.

    Asks again, after a pause, for keys that DynamoDB leaves unprocessed. Raises `Contention` if it keeps doing so.
    """
    rounds = Rounds(pauses, f"BatchGetItem {table}")
    for start in range(0, len(ids), MAX_BATCH_GET):
        keys = [{key: {"S": value}} for value in ids[start : start + MAX_BATCH_GET]]
        request: Any = {table: {"Keys": keys, "ConsistentRead": consistent}}
        while True:
            with translated(f"BatchGetItem {table}"):
                answer = client.batch_get_item(RequestItems=request)
            yield from answer["Responses"].get(table, [])
            request = answer.get("UnprocessedKeys")
            if not request:
                break
            rounds.wait()


ENOUGH_IN_STOCK = "stock >= :units"
PRODUCT_EXISTS = "attribute_exists(productId)"
PUT_PRODUCT = (
    "SET productName = :productName, price = :price, "
    "stock = if_not_exists(stock, :stock), received = if_not_exists(received, :received)"
)
_FAILED = "ConditionalCheckFailed"


class DynamoOrders:
    """`shopflow.ports.Orders` on DynamoDB."""

    def __init__(self, client: DynamoDBClient, orders_table: str, inventory_table: str, open_orders_index: str) -> None:
        self._client = client
        self._orders_table = orders_table
        self._inventory_table = inventory_table
        self._index = open_orders_index
        self._creates: GroupCommit[Order, Order] = GroupCommit(
            self._insert, MAX_STATEMENTS, lambda order: order.order_id
        )
        self._updates: GroupCommit[Transition, None] = GroupCommit(
            self._update, MAX_STATEMENTS, lambda transition: transition.before.order_id
        )

    def create(self, order: Order) -> Order:
        [result] = self._creates.submit([order])
        return _or_raise(result)

    def read(self, order_ids: Collection[str]) -> dict[str, Order]:
        return {order.order_id: order for order in self._readable(self._items(order_ids))}

    def _items(self, order_ids: Collection[str]) -> Iterator[Item]:
        return batch_get(self._client, self._orders_table, "orderId", sorted(set(order_ids)), consistent=True)

    def commit(self, transitions: Sequence[Transition], stock: Mapping[str, int] | None = None) -> None:
        check_transaction(transitions, stock or {})
        if len(transitions) == 1 and not stock:
            [result] = self._updates.submit(transitions)
            _or_raise(result)
        else:
            self._transact(transitions, stock or {})

    def commit_each(self, transitions: Sequence[Transition]) -> dict[str, Exception]:
        results = zip(transitions, self._updates.submit(transitions), strict=True)
        return {transition.before.order_id: error for transition, error in results if isinstance(error, Exception)}

    def _insert(self, orders: Sequence[Order]) -> list[Order | Exception]:
        """The order that has each id now, or why that is unknown."""
        entries = self._execute([_insert_statement(self._orders_table, order_to_item(order)) for order in orders])
        taken = [order.order_id for order, entry in zip(orders, entries, strict=True) if _is_duplicate(entry)]
        items = list(self._items(taken)) if taken else []
        standing = {item["orderId"]["S"]: item for item in items}
        return [
            self._standing_order(standing.get(order.order_id)) if _is_duplicate(entry) else _failure(entry) or order
            for order, entry in zip(orders, entries, strict=True)
        ]

    def _standing_order(self, item: Item | None) -> Order | Exception:
        if item is None:
            return Contention("the order's id was taken and is free again")
        try:
            return all_readable([item], order_from_item, self._orders_table, "orderId")[0]
        except MalformedRow as malformed:
            return malformed

    def _update(self, transitions: Sequence[Transition]) -> list[Exception | None]:
        """Why each transition was not committed; None if it was, now or by an earlier request."""
        entries = self._execute([_update_statement(self._orders_table, transition) for transition in transitions])
        pairs = zip(transitions, entries, strict=True)
        return [self._update_failure(transition, entry) for transition, entry in pairs]

    def _update_failure(self, transition: Transition, entry: Any) -> Exception | None:
        error = entry.get("Error", {})
        if error.get("Code") != _FAILED:
            return _failure(entry)
        try:
            _unless_committed([transition], self._standing([error]), frozenset())
        except (Conflict, MalformedRow) as failure:
            return failure
        return None

    def _execute(self, statements: Sequence[Any]) -> list[Any]:
        with translated("BatchExecuteStatement orders"):
            return list(self._client.batch_execute_statement(Statements=list(statements))["Responses"])

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
        """Raise what the cancelled transaction means. Return if an earlier try of it was committed."""
        reasons: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", [])
        codes = [reason.get("Code", "None") for reason in reasons]
        failed = [reason if code == _FAILED else None for reason, code in zip(reasons, codes, strict=True)]
        standing = self._standing([reason for reason in failed[: len(transitions)] if reason])
        of_stock = zip(products, failed[len(transitions) :], strict=True)
        if any(failed):
            _unless_committed(transitions, standing, frozenset(product_id for product_id, reason in of_stock if reason))
        elif outage := next(filter(None, map(outage_of, codes)), None):
            raise outage(f"TransactWriteItems: {codes}") from error
        else:
            raise error

    def _readable(self, items: Iterable[Item]) -> Iterator[Order]:
        return readable(items, order_from_item, self._orders_table, "orderId")

    def _standing(self, failures: Sequence[Mapping[str, Any]]) -> dict[str, Order]:
        """The existing orders whose conditions failed (ReturnValuesOnConditionCheckFailure), by id."""
        items = [failure["Item"] for failure in failures if "Item" in failure]
        orders = all_readable(items, order_from_item, self._orders_table, "orderId")
        return {order.order_id: order for order in orders}


def _open_order(item: Item) -> OpenOrder:
    return OpenOrder(str(item["orderId"]["S"]), to_ms(item["openedAt"]["S"]))


def _unless_committed(transitions: Sequence[Transition], standing: Mapping[str, Order], short: frozenset[str]) -> None:
    """Raise `Conflict`, unless ``standing`` shows that the commit was made and only its answer was lost."""
    if not was_committed(transitions, standing):
        raise Conflict(standing, short)


def _update_of(transition: Transition, table: str) -> Any:
    """The UpdateItem of one transition: the changed attributes, on the conditions of its guard."""
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


def _update_statement(table: str, transition: Transition) -> Any:
    """The PartiQL UPDATE of one transition: the changed attributes, on the conditions of its guard."""
    sets, removes, parameters = [], [], []
    for field, value in transition.changes().items():
        if value is None:
            removes.append(f' REMOVE "{ATTRIBUTES[field]}"')
        else:
            sets.append(f' SET "{ATTRIBUTES[field]}" = ?')
            parameters.append(attribute_value(field, value))
    conditions = ['"orderId" = ?']
    parameters.append({"S": transition.before.order_id})
    for field in transition.guard:
        value = getattr(transition.before, field)
        if value is None:
            conditions.append(f'"{ATTRIBUTES[field]}" IS MISSING')
        elif isinstance(value, EventHeader):
            conditions.append(f'"{ATTRIBUTES[field]}"."eventId" = ?')
            parameters.append({"S": value.event_id})
        else:
            conditions.append(f'"{ATTRIBUTES[field]}" = ?')
            parameters.append(attribute_value(field, value))
    return {
        "Statement": f'UPDATE "{table}"{"".join([*sets, *removes])} WHERE {" AND ".join(conditions)}',
        "Parameters": parameters,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _insert_statement(table: str, item: Item) -> Any:
    """PartiQL INSERT never replaces an item."""
    attributes = ", ".join(f"'{name}': ?" for name in item)
    return {"Statement": f'INSERT INTO "{table}" VALUE {{{attributes}}}', "Parameters": list(item.values())}


def _still(field: str, value: Any, names: dict[str, str], values: dict[str, Any]) -> str:
    """The condition that the attribute of ``field`` still has ``value``. An outbox is compared by its event id."""
    names[f"#{field}"] = ATTRIBUTES[field]
    if value is None:
        return f"attribute_not_exists(#{field})"
    if isinstance(value, EventHeader):
        values[f":{field}_read"] = {"S": value.event_id}
        return f"#{field}.eventId = :{field}_read"
    values[f":{field}_read"] = attribute_value(field, value)
    return f"#{field} = :{field}_read"


def _stock_update(product_id: str, units: int, table: str) -> Any:
    """The UpdateItem that adds ``units`` to a product's stock, or takes them if that many are in stock."""
    condition = ENOUGH_IN_STOCK if units < 0 else PRODUCT_EXISTS
    return {
        "TableName": table,
        "Key": {"productId": {"S": product_id}},
        "UpdateExpression": "ADD stock :change",
        "ConditionExpression": condition,
        "ExpressionAttributeValues": {":change": {"N": str(units)}}
        | ({":units": {"N": str(-units)}} if units < 0 else {}),
    }


class DynamoProducts:
    """`shopflow.ports.Products` on DynamoDB."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self, product_ids: Collection[str], *, consistent: bool = True) -> dict[str, Product]:
        items = batch_get(self._client, self._table, "productId", sorted(set(product_ids)), consistent=consistent)
        products = all_readable(items, product_from_item, self._table, "productId")
        return {product.product_id: product for product in products}

    def all(self) -> list[Product]:
        with translated("Scan products"):
            pages = self._client.get_paginator("scan").paginate(TableName=self._table)
            items = [item for page in pages for item in page["Items"]]
        products = readable(items, product_from_item, self._table, "productId")
        return sorted(products, key=lambda product: product.product_id)

    def put(self, product: Product) -> bool:
        item = product_to_item(product)
        with translated("UpdateItem product"):
            answer = self._client.update_item(
                TableName=self._table,
                Key={"productId": item["productId"]},
                UpdateExpression=PUT_PRODUCT,
                ExpressionAttributeValues={f":{name}": item[name] for name in item.keys() - {"productId"}},
                ReturnValues="ALL_OLD",
            )
        return not answer.get("Attributes")

    def restock(self, product_id: str, units: int) -> Product | None:
        self.read([product_id])
        try:
            with translated("UpdateItem product"):
                answer = self._client.update_item(
                    TableName=self._table,
                    Key={"productId": {"S": product_id}},
                    UpdateExpression="ADD stock :units, received :units",
                    ConditionExpression=PRODUCT_EXISTS,
                    ExpressionAttributeValues={":units": {"N": str(units)}},
                    ReturnValues="ALL_NEW",
                )
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
        return product_from_item(answer["Attributes"])


class DynamoAuditLog:
    """`shopflow.ports.AuditLog` on DynamoDB.

    It writes with PartiQL INSERT, which never replaces an item. So a service with only the right to
    ``dynamodb:PartiQLInsert`` can neither change nor delete an entry (AWS, "IAM policies for PartiQL").
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def insert(self, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:
        statements = [_insert_statement(self._table, audit_to_item(event, stored_at)) for event in events]
        with translated("BatchExecuteStatement"):
            answer = self._client.batch_execute_statement(Statements=statements)
        entries = zip(events, answer["Responses"], strict=True)
        # A duplicate is not an error: the id is the event's own, so it is the same event.
        failures = ((event, None if _is_duplicate(entry) else _failure(entry)) for event, entry in entries)
        return {event.event_id: failure for event, failure in failures if failure}

    def has(self, order_id: str, event_id: str) -> bool:
        key = {"orderId": {"S": order_id}, "eventId": {"S": event_id}}
        with translated("GetItem event"):
            answer = self._client.get_item(
                TableName=self._table, Key=key, ConsistentRead=True, ProjectionExpression="eventId"
            )
        return "Item" in answer

    def trail(self, order_id: str) -> list[AuditEntry]:
        with translated("Query events"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="orderId = :order_id",
                ExpressionAttributeValues={":order_id": {"S": order_id}},
                ConsistentRead=True,
            )
            items = [item for page in pages for item in page["Items"]]
        return list(readable(items, audit_from_item, self._table, "eventId"))

    def order_ids(self) -> Iterator[str]:
        """The order ids of all entries, a page at a time, for operators. An id may come more than once."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table, ConsistentRead=True, ProjectionExpression="orderId"
        )
        last = None
        with translated("Scan events"):
            for page in pages:
                for item in page["Items"]:
                    if (order_id := item["orderId"]["S"]) != last:
                        last = order_id
                        yield order_id


def _is_duplicate(entry: Any) -> bool:
    return bool(entry.get("Error", {}).get("Code") == "DuplicateItem")


def _failure(entry: Any) -> Exception | None:
    """The error of one statement of a batch."""
    error = entry.get("Error")
    if not error:
        return None
    code = error.get("Code", "")
    return (outage_of(code) or BadAnswer)(f"PartiQL statement: {code} {error.get('Message', '')}")


def _or_raise(result: T | Exception) -> T:
    if isinstance(result, Exception):
        raise result
    return result
