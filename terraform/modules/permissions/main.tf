# What each service may do: named actions on named resources. The rights to a queue and to the topic follow from the
# catalogue. The rights to tables are listed here: they are what the code calls (shopflow/aws). Batch calls have no
# actions of their own: sqs:DeleteMessage covers DeleteMessageBatch, sns:Publish covers PublishBatch, and a transaction
# needs the action of each of its items (AWS, Service Authorization Reference).

locals {
  table_actions = {
    order = {
      orders    = ["dynamodb:BatchGetItem", "dynamodb:PartiQLInsert"]
      inventory = ["dynamodb:BatchGetItem", "dynamodb:Scan"]
      events    = ["dynamodb:Query"]
    }
    relay = {
      orders      = ["dynamodb:BatchGetItem", "dynamodb:PartiQLUpdate"]
      open_orders = ["dynamodb:Scan"]
      events      = ["dynamodb:GetItem"]
    }
    inventory = {
      orders    = ["dynamodb:BatchGetItem", "dynamodb:PartiQLUpdate", "dynamodb:UpdateItem"]
      inventory = ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"]
    }
    payment      = { orders = ["dynamodb:BatchGetItem", "dynamodb:PartiQLUpdate"] }
    notification = { orders = ["dynamodb:BatchGetItem", "dynamodb:PartiQLUpdate"] }
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

  other_statements = {
    order = concat([local.count_messages], [
      for arn in var.ops_token_parameter_arn[*] : {
        Sid      = "ReadOperatorsToken"
        Effect   = "Allow"
        Action   = "ssm:GetParameter"
        Resource = arn
      }
    ])
    notification = local.send_mail
  }

  send_mail = [
    for mail in var.mail[*] : {
      Sid       = "SendMail"
      Effect    = "Allow"
      Action    = "ses:SendEmail"
      Resource  = mail.identity_arns
      Condition = { StringEquals = { "ses:FromAddress" = mail.from } }
    }
  ]

  # The storefront and the operator's page show the depth of every queue.
  count_messages = {
    Sid      = "CountMessages"
    Effect   = "Allow"
    Action   = "sqs:GetQueueAttributes"
    Resource = concat(values(var.queue_arns), values(var.dlq_arns))
  }

  # SNS needs the key too, to deliver to encrypted queues: the key's own policy must allow it.
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
          # Lambda chooses the names of the streams.
          Resource = "${function.log_group_arn}:log-stream:*"
        }
      ],
    )
  }

  # The operator's page shows dead letters and redrives them. It finds the reason of a failure by a dry run of the
  # service's handler, so it needs the handler's rights to read. The dead-letter tool needs more: docs/operations.md#rights.
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
