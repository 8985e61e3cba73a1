# What each service may do: named actions on named resources. The rights to a queue and to the topic follow from the
# catalogue. The rights to tables are listed here: they are what the code calls (shopflow/aws). Batch calls have no
# actions of their own: sqs:DeleteMessage covers DeleteMessageBatch, sns:Publish covers PublishBatch, and a transaction
# needs the action of each of its items (AWS, Service Authorization Reference). Every statement allows (iam.tf).

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

  queue_arns = { for service, consumer in module.consumer : service => consumer.queue.arn }
  dlq_arns   = { for service, consumer in module.consumer : service => consumer.dlq.arn }
  table_arns = merge(
    { for name, table in aws_dynamodb_table.this : name => table.arn },
    { open_orders = "${aws_dynamodb_table.this["orders"].arn}/index/${local.open_orders_index}" },
  )

  take_messages = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"]

  service_statements = {
    for service in local.services : service => concat(
      [
        for consumer, arn in local.queue_arns : {
          Sid      = "ConsumeItsQueue"
          Action   = concat(local.take_messages, contains(keys(local.functions), service) ? ["sqs:GetQueueAttributes"] : [])
          Resource = arn
        } if consumer == service
      ],
      [
        for publisher in local.publishers : {
          Sid      = "PublishEvents"
          Action   = "sns:Publish"
          Resource = aws_sns_topic.orders.arn
        } if publisher == service
      ],
      [
        for table, actions in lookup(local.table_actions, service, {}) : {
          Sid      = "Use${join("", [for word in split("_", table) : title(word)])}"
          Action   = actions
          Resource = local.table_arns[table]
        }
      ],
      [
        for function, log in aws_cloudwatch_log_group.function : {
          Sid      = "WriteLogs"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${log.arn}:log-stream:*" # Lambda chooses the names of the streams
        } if function == service
      ],
      lookup(local.other_statements, service, []),
      local.use_key,
    )
  }

  other_statements = {
    order        = concat([local.count_messages], local.read_operators_token)
    notification = local.send_mail
  }

  # The storefront and the operator's page show the depth of every queue.
  count_messages = {
    Sid      = "CountMessages"
    Action   = "sqs:GetQueueAttributes"
    Resource = concat(values(local.queue_arns), values(local.dlq_arns))
  }

  read_operators_token = [
    for name in var.ops_token_parameter[*] : {
      Sid      = "ReadOperatorsToken"
      Action   = "ssm:GetParameter"
      Resource = "arn:${local.partition}:ssm:${local.here}:parameter/${trimprefix(name, "/")}"
    }
  ]

  send_mail = [
    for sender in var.mail_from[*] : {
      Sid    = "SendMail"
      Action = "ses:SendEmail"
      Resource = [
        for identity in coalescelist(tolist(var.mail_identities), [split("@", sender)[1]]) :
        "arn:${local.partition}:ses:${local.here}:identity/${identity}"
      ]
      Condition = { StringEquals = { "ses:FromAddress" = sender } }
    }
  ]

  # SNS needs the key too, to deliver to encrypted queues: the key's own policy must allow it.
  use_key = [
    for key in var.kms_key_arn[*] : {
      Sid      = "UseKey"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = key
      Condition = { StringEquals = { "kms:ViaService" = [
        for service in concat(["dynamodb", "sns", "sqs"], var.ops_token_parameter == null ? [] : ["ssm"]) :
        "${service}.${local.region}.amazonaws.com"
      ] } }
    }
  ]

  # The operator's page shows dead letters and redrives them. It finds the reason of a failure by a dry run of the
  # service's handler, so it needs the handler's rights to read. The dead-letter tool needs more: docs/operations.md#rights.
  operator_rights = {
    TakeDeadLetters       = { actions = local.take_messages, resources = values(local.dlq_arns) }
    SendBack              = { actions = ["sqs:SendMessage"], resources = values(local.queue_arns) }
    ReadOrdersAndProducts = { actions = ["dynamodb:BatchGetItem"], resources = [local.table_arns.orders, local.table_arns.inventory] }
    ReadOpenOrders        = { actions = ["dynamodb:Scan"], resources = [local.table_arns.open_orders] }
    LookForReceipts       = { actions = ["dynamodb:GetItem"], resources = [local.table_arns.events] }
  }

  operator_statements = concat(
    [local.count_messages],
    [for sid, right in local.operator_rights : { Sid = sid, Action = right.actions, Resource = right.resources }],
    local.use_key,
  )
}
