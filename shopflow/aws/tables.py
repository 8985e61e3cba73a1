"""The orders, inventory and events tables on DynamoDB."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
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
from shopflow.errors import BadAnswer, Conflict, Contention
from shopflow.messaging.group_commit import GroupCommit
from shopflow.messaging.retry import Backoff
from shopflow.ports import MAX_STATEMENTS, AuditEntry, OpenOrder, check_transaction

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


T = TypeVar("T")
MAX_BATCH_GET = 100
"""DynamoDB: keys in one BatchGetItem."""


PAUSES = Backoff(first_seconds=0.05, factor=2, most_seconds=0.8)
MAX_PAUSES = 5
"""Pauses before asking again for what DynamoDB left unprocessed because it throttles: 1.55 s at most, because a client
of the API may be waiting."""


def batch_get(
    client: DynamoDBClient,
    table: str,
    key: str,
    ids: Sequence[str],
    *,
    consistent: bool,
    pauses: Backoff = PAUSES,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Item]:
    """The items that exist among ``ids`` (values of the string attribute ``key``), unsorted. Any number of ids.

    Asks again, after a pause, for keys that DynamoDB leaves unprocessed. Raises `Contention` after `MAX_PAUSES` of all
    its calls together.
    """
    paused = 0
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
            if paused == MAX_PAUSES:
                raise Contention(f"BatchGetItem {table}: some stay unprocessed")
            paused += 1
            sleep(pauses.delay(paused))


def scan(client: DynamoDBClient, table: str, **options: Any) -> Iterator[Item]:
    """All items, a page at a time."""
    pages = client.get_paginator("scan").paginate(TableName=table, **options)
    with translated(f"Scan {table}"):
        for page in pages:
            yield from page["Items"]


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
        items = self._items(order_ids)
        return {order.order_id: order for order in readable(items, order_from_item, self._orders_table, "orderId")}

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

    def open_orders(self) -> Iterator[OpenOrder]:
        items = scan(self._client, self._orders_table, IndexName=self._index)
        yield from readable(items, _open_order, self._index, "orderId")

    def all(self) -> Iterator[Order]:
        items = scan(self._client, self._orders_table, ConsistentRead=True)
        yield from readable(items, order_from_item, self._orders_table, "orderId")

    def _items(self, order_ids: Collection[str]) -> Iterator[Item]:
        return batch_get(self._client, self._orders_table, "orderId", sorted(set(order_ids)), consistent=True)

    def _by_id(self, items: Iterable[Item]) -> dict[str, Order]:
        """The orders in ``items``. Raises `MalformedRow`; a group commit then tries each of its items alone."""
        orders = all_readable(items, order_from_item, self._orders_table, "orderId")
        return {order.order_id: order for order in orders}

    def _insert(self, orders: Sequence[Order]) -> list[Order | Exception]:
        """The order that has each id now, or why that is unknown."""
        entries = self._execute([_insert_statement(self._orders_table, order_to_item(order)) for order in orders])
        results = list(zip(orders, entries, strict=True))
        standing = self._by_id(self._items([order.order_id for order, entry in results if _is_duplicate(entry)]))
        free_again = Contention("the order's id was taken and is free again")
        return [
            standing.get(order.order_id, free_again) if _is_duplicate(entry) else _failure(entry) or order
            for order, entry in results
        ]

    def _update(self, transitions: Sequence[Transition]) -> list[Exception | None]:
        """Why each transition was not committed; None if it was, now or by an earlier request."""
        entries = self._execute([_update_statement(self._orders_table, transition) for transition in transitions])
        standing = self._standing([entry.get("Error", {}) for entry in entries])
        return [
            _conflict([transition], standing) if _code(entry) == _FAILED else _failure(entry)
            for transition, entry in zip(transitions, entries, strict=True)
        ]

    def _execute(self, statements: Sequence[Any]) -> list[Any]:
        with translated("BatchExecuteStatement orders"):
            return list(self._client.batch_execute_statement(Statements=list(statements))["Responses"])

    def _transact(self, transitions: Sequence[Transition], stock: Mapping[str, int]) -> None:
        updates = [_update_item(self._orders_table, transition) for transition in transitions]
        updates += [_stock_update(product_id, units, self._inventory_table) for product_id, units in stock.items()]
        try:
            with translated("TransactWriteItems"):
                self._client.transact_write_items(TransactItems=[{"Update": update} for update in updates])
        except self._client.exceptions.TransactionCanceledException as error:
            self._explain(error, transitions, list(stock))

    def _explain(self, error: ClientError, transitions: Sequence[Transition], products: Sequence[str]) -> None:
        """Raise what the cancelled transaction means. Return if an earlier try of it was committed."""
        reasons: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", [])
        codes = [reason.get("Code", "None") for reason in reasons]
        if _FAILED in codes:
            of_stock = zip(products, codes[len(transitions) :], strict=True)
            short = frozenset(product_id for product_id, code in of_stock if code == _FAILED)
            if conflict := _conflict(transitions, self._standing(reasons), short):
                raise conflict
        elif outage := next(filter(None, map(outage_of, codes)), None):
            raise outage(f"TransactWriteItems: {codes}") from error
        else:
            raise error

    def _standing(self, failures: Iterable[Mapping[str, Any]]) -> dict[str, Order]:
        """The existing orders whose conditions failed (ReturnValuesOnConditionCheckFailure), by id."""
        return self._by_id(failure["Item"] for failure in failures if "Item" in failure)


def _open_order(item: Item) -> OpenOrder:
    return OpenOrder(str(item["orderId"]["S"]), to_ms(item["openedAt"]["S"]))


def _conflict(
    transitions: Sequence[Transition], standing: Mapping[str, Order], short: frozenset[str] = frozenset()
) -> Conflict | None:
    """None if ``standing`` shows that the commit was made and only its answer was lost."""
    ids = {transition.before.order_id for transition in transitions}
    changed = {order_id: order for order_id, order in standing.items() if order_id in ids}
    return None if was_committed(transitions, changed) else Conflict(changed, short)


def _changes(transition: Transition) -> dict[str, Any]:
    """The new values by attribute. None removes the attribute."""
    return {
        ATTRIBUTES[field]: None if value is None else attribute_value(field, value)
        for field, value in transition.changes().items()
    }


def _guard(transition: Transition) -> dict[str, Any]:
    """The values that must still be there, by path. None: nothing is there. An outbox is compared by its event id."""
    guard: dict[str, Any] = {}
    for field in transition.guard:
        value = getattr(transition.before, field)
        if isinstance(value, EventHeader):
            guard[f"{ATTRIBUTES[field]}.eventId"] = {"S": value.event_id}
        else:
            guard[ATTRIBUTES[field]] = None if value is None else attribute_value(field, value)
    return guard


def _update_item(table: str, transition: Transition) -> Any:
    """The UpdateItem of one transition, for a transaction."""
    changes, guard = _changes(transition), _guard(transition)
    sets = [f"#{name} = :{name}" for name, value in changes.items() if value]
    removes = [f"#{name}" for name, value in changes.items() if not value]
    clauses = [f"{verb} {', '.join(actions)}" for verb, actions in (("SET", sets), ("REMOVE", removes)) if actions]
    names = {path.partition(".")[0] for path in [*changes, *guard]}
    still = {f":was{number}": value for number, value in enumerate(guard.values()) if value}
    return {
        "TableName": table,
        "Key": {"orderId": {"S": transition.before.order_id}},
        "UpdateExpression": " ".join(clauses),
        "ConditionExpression": " AND ".join(
            f"#{path} = :was{number}" if value else f"attribute_not_exists(#{path})"
            for number, (path, value) in enumerate(guard.items())
        ),
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {f":{name}": value for name, value in changes.items() if value} | still,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _update_statement(table: str, transition: Transition) -> Any:
    """The same as a PartiQL UPDATE, which shares a request with others and fails alone."""
    changes, guard = _changes(transition), {"orderId": {"S": transition.before.order_id}} | _guard(transition)
    actions = [f' SET "{name}" = ?' if value else f' REMOVE "{name}"' for name, value in changes.items()]
    paths = {path: '"' + path.replace(".", '"."') + '"' for path in guard}
    conditions = [f"{paths[path]} = ?" if value else f"{paths[path]} IS MISSING" for path, value in guard.items()]
    return {
        "Statement": f'UPDATE "{table}"{"".join(actions)} WHERE {" AND ".join(conditions)}',
        "Parameters": [value for value in [*changes.values(), *guard.values()] if value],
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _insert_statement(table: str, item: Item) -> Any:
    """PartiQL INSERT never replaces an item."""
    attributes = ", ".join(f"'{name}': ?" for name in item)
    return {"Statement": f'INSERT INTO "{table}" VALUE {{{attributes}}}', "Parameters": list(item.values())}


def _stock_update(product_id: str, units: int, table: str) -> Any:
    """The UpdateItem that adds ``units`` to a product's stock, or takes them if that many are in stock."""
    values = {":change": {"N": str(units)}}
    return {
        "TableName": table,
        "Key": {"productId": {"S": product_id}},
        "UpdateExpression": "ADD stock :change",
        "ConditionExpression": "stock >= :units" if units < 0 else PRODUCT_EXISTS,
        "ExpressionAttributeValues": values | ({":units": {"N": str(-units)}} if units < 0 else {}),
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
        products = readable(scan(self._client, self._table), product_from_item, self._table, "productId")
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
        items = scan(self._client, self._table, ConsistentRead=True, ProjectionExpression="orderId")
        for order_id, _ in groupby(item["orderId"]["S"] for item in items):
            yield order_id


def _code(entry: Any) -> str | None:
    """The error code of one statement of a batch."""
    code: str | None = entry.get("Error", {}).get("Code")
    return code


def _is_duplicate(entry: Any) -> bool:
    return _code(entry) == "DuplicateItem"


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
