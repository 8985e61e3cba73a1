# Who may do what, and encryption. No AWS: the provider is mocked.

mock_provider "aws" {
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:stack-orders" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-west-1" }
  }
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
}
