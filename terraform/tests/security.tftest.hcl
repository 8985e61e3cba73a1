# Who may send and publish, and the key of a customer. The provider is mocked. checkov shows that all is encrypted.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name_prefix = "stack"
}

run "only_the_topic_may_send_to_queues_and_only_the_account_to_the_topic" {
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
            Condition = { ArnEquals = { "aws:SourceArn" = aws_sns_topic.orders.arn } }
          }
        ]
      ]
    ]))
    error_message = "Something else than the topic may send to a queue, or the topic may not."
  }

  assert {
    condition = jsondecode(aws_sns_topic.orders.policy).Statement[*].Principal == [
      { AWS = "arn:aws:iam::123456789012:root" }
    ]
    error_message = "The topic is open to others than its own account."
  }

  assert {
    condition     = !anytrue([for policy in aws_iam_role_policy.service : strcontains(policy.policy, "kms:")])
    error_message = "A service has the right to use a key although there is none."
  }
}

run "a_key_of_the_customer_encrypts_everything" {
  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    region      = "eu-west-1"
    alarms      = true

    alarm_emails        = ["ops@example.com"]
    ops_token_parameter = "/stack/ops-token"
  }

  assert {
    condition = toset(concat(
      [aws_sns_topic.orders.kms_master_key_id, aws_sns_topic.ops[0].kms_master_key_id],
      flatten([for consumer in module.consumer : [consumer.queue.kms_master_key_id, consumer.dlq.kms_master_key_id]]),
      [for table in aws_dynamodb_table.this : one(table.server_side_encryption).kms_key_arn],
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
            "dynamodb.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com", "sqs.eu-west-1.amazonaws.com", "ssm.eu-west-1.amazonaws.com",
          ] } }
      }]
    ])
    error_message = "A service may not use the key, or may use it for more than the AWS services that it calls."
  }
}

run "an_alias_of_a_key_is_refused" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:alias/orders"
  }

  expect_failures = [var.kms_key_arn]
}
