# What each service may do: named actions on named resources. The rights to a queue and to the topic follow from the
# catalogue; the rights to tables are those of this table, which says what the code calls (shopflow/aws). Batch calls
# have no action of their own: sqs:DeleteMessage covers DeleteMessageBatch, sns:Publish covers PublishBatch, and a
# transaction needs the action of each of its items (AWS, Service Authorization Reference).

locals {
  table_actions = {
    order = {
      orders    = ["dynamodb:BatchGetItem", "dynamodb:PutItem"]
      inventory = ["dynamodb:BatchGetItem", "dynamodb:Scan"]
      events    = ["dynamodb:Query"]
    }
    relay = {
      orders      = ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"]
      open_orders = ["dynamodb:Scan"]
      events      = ["dynamodb:GetItem"]
    }
    inventory = {
      orders    = ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"]
      inventory = ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"]
      events    = ["dynamodb:GetItem"]
    }
    payment      = { orders = ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"] }
    notification = { orders = ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"] }
    audit        = { events = ["dynamodb:PartiQLInsert"] }
  }

  services = setunion(keys(local.table_actions), keys(var.queue_arns), var.publishers)

  table_arns = merge(var.table_arns, { open_orders = "${var.table_arns.orders}/index/${var.open_orders_index}" })

  statements = {
    for service in local.services : service => concat(
      [
        for consumer, arn in var.queue_arns : {
          Sid      = "ConsumeItsQueue"
          Effect   = "Allow"
          Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"]
          Resource = arn
        } if consumer == service
      ],
      [
        for publisher in var.publishers : {
          Sid      = "PublishEvents"
          Effect   = "Allow"
          Action   = "sns:Publish"
          Resource = var.topic_arn
        } if publisher == service
      ],
      [
        for table, actions in lookup(local.table_actions, service, {}) : {
          Sid      = "Use${join("", [for word in split("_", table) : title(word)])}"
          Effect   = "Allow"
          Action   = actions
          Resource = local.table_arns[table]
        }
      ],
      lookup(local.other_statements, service, []),
      lookup(local.function_statements, service, []),
      local.use_key,
    )
  }

  other_statements = { order = [local.count_messages] }

  # The storefront's picture of the system, and the operator's page, show how much waits where.
  count_messages = {
    Sid      = "CountMessages"
    Effect   = "Allow"
    Action   = "sqs:GetQueueAttributes"
    Resource = concat(values(var.queue_arns), values(var.dlq_arns))
  }

  # The key's own policy must let SNS use it too, to deliver into encrypted queues.
  use_key = [
    for key in var.kms_key[*] : {
      Sid       = "UseKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = key.arn
      Condition = { StringEquals = { "kms:ViaService" = key.via } }
    }
  ]

  function_statements = {
    for service, function in var.functions : service => concat(
      [
        for consumer, arn in var.queue_arns : {
          Sid      = "LetLambdaPoll"
          Effect   = "Allow"
          Action   = "sqs:GetQueueAttributes"
          Resource = arn
        } if consumer == service
      ],
      [
        {
          Sid    = "WriteLogs"
          Effect = "Allow"
          Action = ["logs:CreateLogStream", "logs:PutLogEvents"]
          # Lambda makes up the names of the streams.
          Resource = "${function.log_group_arn}:log-stream:*"
        }
      ],
    )
  }

  # What the operator's page does: look, and send back. (The dead-letter tool has more: docs/operations.md#rights.) Why a letter is dead is found out by a
  # dry run of the service's handler, which reads what the handler would read.
  operator_statements = concat(
    [
      local.count_messages,
      {
        Sid      = "TakeDeadLetters"
        Effect   = "Allow"
        Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"]
        Resource = values(var.dlq_arns)
      },
      {
        Sid      = "SendBack"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = values(var.queue_arns)
      },
      {
        Sid      = "ReadOrdersAndProducts"
        Effect   = "Allow"
        Action   = "dynamodb:BatchGetItem"
        Resource = [local.table_arns.orders, local.table_arns.inventory]
      },
      {
        Sid      = "ReadOpenOrders"
        Effect   = "Allow"
        Action   = "dynamodb:Scan"
        Resource = local.table_arns.open_orders
      },
      {
        Sid      = "LookForReceipts"
        Effect   = "Allow"
        Action   = "dynamodb:GetItem"
        Resource = local.table_arns.events
      },
    ],
    local.use_key,
  )
}
