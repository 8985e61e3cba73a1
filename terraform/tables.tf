# The orders, the products with their stock, and the audit log.

locals {
  open_orders_index = "open-orders"

  # An index: its name and its hash key. It holds only keys, and only of items that have the attribute (sparse).
  tables = {
    orders    = { hash_key = "orderId", range_key = null, indexes = { (local.open_orders_index) = "openedAt" } }
    inventory = { hash_key = "productId", range_key = null, indexes = {} }
    events    = { hash_key = "orderId", range_key = "eventId", indexes = {} }
  }
}

resource "aws_dynamodb_table" "this" {
  for_each = local.tables

  name                        = "${var.name_prefix}-${each.key}"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value.hash_key
  range_key                   = each.value.range_key
  deletion_protection_enabled = var.deletion_protection

  dynamic "attribute" {
    for_each = toset(compact(concat([each.value.hash_key, each.value.range_key], values(each.value.indexes))))

    content {
      name = attribute.value
      type = "S"
    }
  }

  dynamic "global_secondary_index" {
    for_each = each.value.indexes

    content {
      name            = global_secondary_index.key
      hash_key        = global_secondary_index.value
      projection_type = "KEYS_ONLY"
    }
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

# Nobody can change or delete an entry of the audit log, whatever their rights. Only an INSERT adds one: it never replaces.
resource "aws_dynamodb_resource_policy" "events" {
  count = var.table_policies ? 1 : 0

  resource_arn = aws_dynamodb_table.this["events"].arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "KeepEvents"
        Effect    = "Deny"
        Principal = "*"
        Action = [
          "dynamodb:BatchWriteItem",
          "dynamodb:DeleteItem",
          "dynamodb:PartiQLDelete",
          "dynamodb:PartiQLUpdate",
          "dynamodb:PutItem",
          "dynamodb:UpdateItem",
        ]
        Resource = aws_dynamodb_table.this["events"].arn
      }
    ]
  })
}
