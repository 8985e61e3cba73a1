"""The inventory table."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from shopflow.aws.calls import translated
from shopflow.aws.items import all_readable, product_from_item, product_to_item, readable
from shopflow.aws.tables import batch_get
from shopflow.domain.stock import Product

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PRODUCT_IS_NEW = "attribute_not_exists(productId)"
PRODUCT_EXISTS = "attribute_exists(productId)"


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

    def seed(self, product: Product) -> bool:
        try:
            with translated("PutItem product"):
                self._client.put_item(
                    TableName=self._table, Item=product_to_item(product), ConditionExpression=PRODUCT_IS_NEW
                )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

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
