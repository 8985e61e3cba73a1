# Who may send and publish, and encryption. No AWS: the provider is mocked.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name_prefix = "stack"
}

run "only_the_topic_may_send_to_a_queue" {
  assert {
    condition = alltrue(flatten([
      for consumer in module.consumer : [
        for queue in [consumer.queue, consumer.dlq] : [
          for statement in jsondecode(queue.policy).Statement : statement == {
            Sid       = "AllowTopic"
            Effect    = "Allow"
            Principal = { Service = "sns.amazonaws.com" }
            Action    = "sqs:SendMessage"
            Resource  = "arn:aws:sqs:eu-west-1:123456789012:${queue.name}"
            Condition = { ArnEquals = { "aws:SourceArn" = module.event_bus.topic.arn } }
          }
        ]
      ]
    ]))
    error_message = "A queue's policy allows more, or less, than its topic to send to it."
  }

  assert {
    condition = jsondecode(module.event_bus.topic.policy).Statement[*].Principal == [
      { AWS = "arn:aws:iam::123456789012:root" }
    ]
    error_message = "The topic is open to others than its own account."
  }
}

run "with_tls_required_every_policy_refuses_plain_http_and_no_star_principal_is_without_a_condition" {
  variables {
    require_tls = true
  }

  assert {
    condition = alltrue([
      for policy in concat([module.event_bus.topic.policy], flatten([for consumer in module.consumer : [consumer.queue.policy, consumer.dlq.policy]])) :
      anytrue([
        for statement in jsondecode(policy).Statement :
        statement.Effect == "Deny" && statement.Principal == "*" && try(statement.Condition.Bool["aws:SecureTransport"], null) == "false"
      ])
    ])
    error_message = "A policy lets plain HTTP through."
  }

  assert {
    condition = alltrue(flatten([
      for policy in concat([module.event_bus.topic.policy], flatten([for consumer in module.consumer : [consumer.queue.policy, consumer.dlq.policy]])) : [
        for statement in jsondecode(policy).Statement :
        length(try(statement.Condition, {})) > 0 if strcontains(jsonencode(statement.Principal), "\"*\"")
      ]
    ]))
    error_message = "A policy names the principal * without a condition."
  }
}

run "everything_is_encrypted_at_rest" {
  assert {
    condition     = module.event_bus.topic.kms_master_key_id == "alias/aws/sns"
    error_message = "The topic is not encrypted."
  }

  assert {
    condition     = alltrue(flatten([for consumer in module.consumer : [consumer.queue.sqs_managed_sse_enabled, consumer.dlq.sqs_managed_sse_enabled]]))
    error_message = "A queue is not encrypted."
  }

  assert {
    condition     = alltrue([for table in module.tables.tables : one(table.server_side_encryption).enabled])
    error_message = "A table is not encrypted."
  }

  assert {
    condition     = !anytrue([for policy in aws_iam_role_policy.service : strcontains(policy.policy, "kms:")])
    error_message = "A service has rights to a key that it does not need."
  }
}

run "with_a_key_of_ones_own_everything_is_encrypted_with_it" {
  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    region      = "eu-west-1"
    alarms      = true
  }

  assert {
    condition = toset(concat(
      [module.event_bus.topic.kms_master_key_id, module.alarms[0].topic.kms_master_key_id],
      flatten([for consumer in module.consumer : [consumer.queue.kms_master_key_id, consumer.dlq.kms_master_key_id]]),
      [for table in module.tables.tables : one(table.server_side_encryption).kms_key_arn],
    )) == toset([var.kms_key_arn])
    error_message = "A topic, queue or table is encrypted with another key."
  }

  assert {
    condition = alltrue([
      for policy in concat(values(aws_iam_role_policy.service)[*].policy, [aws_iam_policy.operator.policy]) : [
        for statement in jsondecode(policy).Statement : statement if statement.Sid == "UseKey"
        ] == [{
          Sid      = "UseKey"
          Effect   = "Allow"
          Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource = var.kms_key_arn
          Condition = { StringEquals = { "kms:ViaService" = [
            "dynamodb.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com", "sqs.eu-west-1.amazonaws.com",
          ] } }
      }]
    ])
    error_message = "A service may not use the key, or may use it otherwise than through the services that it calls."
  }
}

run "an_alias_is_no_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:alias/orders"
  }

  expect_failures = [var.kms_key_arn]
}
