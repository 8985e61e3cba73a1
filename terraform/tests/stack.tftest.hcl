# Topic, queues, tables and roles: what they are called, who may use them, and what variables change. The provider is
# mocked; every mocked ARN is unique. tests/iam runs the services, and shows that each role has exactly the rights that
# its service uses. checkov shows that everything is encrypted.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name_prefix = "stack"
  catalogue   = jsondecode(file("../schemas/catalog.json"))
}

run "the_resources_are_those_of_the_catalogue_and_nobody_else_may_use_them" {
  assert {
    condition = { for service, consumer in module.consumer : service => consumer.subscription.filter_policy } == {
      for service, entry in var.catalogue.services : service =>
      contains(entry.consumes, "*") ? null : jsonencode({ eventType = entry.consumes }) if length(entry.consumes) > 0
    }
    error_message = "A consumer is missing, or its filter policy is not what the catalogue says."
  }

  assert {
    condition = alltrue([
      for service, consumer in module.consumer :
      [consumer.queue.name, consumer.dlq.name] == ["stack-${service}-queue", "stack-${service}-dlq"]
      && jsondecode(consumer.queue.redrive_policy) == { deadLetterTargetArn = consumer.dlq.arn, maxReceiveCount = 3 }
      && jsondecode(consumer.subscription.redrive_policy).deadLetterTargetArn == consumer.dlq.arn
      && jsondecode(consumer.dlq.redrive_allow_policy).redrivePermission == "byQueue"
      && [for arn in jsondecode(consumer.dlq.redrive_allow_policy).sourceQueueArns : reverse(split(":", arn))[0]] == [consumer.queue.name]
      && [consumer.queue.message_retention_seconds, consumer.dlq.message_retention_seconds] == [7 * 86400, 14 * 86400]
    ])
    error_message = "A queue must move a message to its own DLQ after 3 receives, keep it for 7 days, and the DLQ for 14."
  }

  assert {
    condition = alltrue([
      for table in aws_dynamodb_table.this :
      table.billing_mode == "PAY_PER_REQUEST"
      && [table.deletion_protection_enabled, one(table.point_in_time_recovery).enabled] == [false, false]
    ])
    error_message = "A table is not paid per request, or is protected without being asked."
  }

  assert {
    condition     = aws_sns_topic.orders.name == "stack-orders" && length(aws_cloudwatch_metric_alarm.this) == 0 && output.alarm_topic_arn == null && output.dashboard_url == null
    error_message = "The topic has another name, or a local stack has alarms."
  }

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

  assert {
    condition = [for statement in jsondecode(aws_dynamodb_resource_policy.events[0].policy).Statement : [statement.Effect, statement.Principal, statement.Resource, statement.Action]] == [
      ["Deny", "*", aws_dynamodb_table.this["events"].arn, [
        for action in ["BatchWriteItem", "DeleteItem", "PartiQLDelete", "PartiQLUpdate", "PutItem", "UpdateItem"] : "dynamodb:${action}"
      ]]
    ]
    error_message = "The events table does not refuse to change or delete events."
  }

  assert {
    condition = alltrue([
      for service, role in aws_iam_role.service :
      jsondecode(role.assume_role_policy).Statement == [{ Action = "sts:AssumeRole", Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" } }]
    ])
    error_message = "Something other than Lambda may assume a role."
  }

  assert {
    condition     = length(aws_iam_role_policy_attachment.operator_page) == 0
    error_message = "The Order Service has the rights of an operator without being asked."
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

run "only_the_notification_service_may_send_mail_and_only_from_its_address" {
  variables {
    mail_from = "orders@shop.example"
  }

  assert {
    condition = {
      for service, policy in aws_iam_role_policy.service : service => [
        for statement in jsondecode(policy.policy).Statement : statement if statement.Sid == "SendMail"
      ] if strcontains(policy.policy, "ses:")
      } == {
      notification = [{
        Sid       = "SendMail"
        Effect    = "Allow"
        Action    = "ses:SendEmail"
        Resource  = ["arn:aws:ses:eu-west-1:123456789012:identity/shop.example"]
        Condition = { StringEquals = { "ses:FromAddress" = "orders@shop.example" } }
      }]
    }
    error_message = "Another service may send mail, or mail may have another sender."
  }
}

run "a_service_of_an_overlay_may_use_its_queue_and_publish_if_it_produces_events" {
  variables {
    catalog_overlay = "./tests/overlay.json"
    overlay         = jsondecode(file("./tests/overlay.json"))
  }

  assert {
    condition = {
      for service in keys(var.overlay.services) : service => {
        for statement in jsondecode(aws_iam_role_policy.service[service].policy).Statement : statement.Sid => statement.Resource
      }
      } == {
      for service in keys(var.overlay.services) : service => merge(
        { ConsumeItsQueue = module.consumer[service].queue.arn },
        contains([for event in values(lookup(var.overlay, "events", {})) : event.producer], service) ? { PublishEvents = aws_sns_topic.orders.arn } : {},
      )
    }
    error_message = "A service of an overlay has other rights than those that follow from the catalogue."
  }
}

run "a_role_for_ecs_trusts_tasks_of_its_own_account_only_and_a_local_aws_may_lack_policies_of_tables" {
  variables {
    trusted_services = ["ecs-tasks.amazonaws.com"]
    table_policies   = false
  }

  assert {
    condition = alltrue([
      for role in aws_iam_role.service : [for statement in jsondecode(role.assume_role_policy).Statement : [statement.Principal, statement.Condition]] == [
        [
          { Service = "ecs-tasks.amazonaws.com" },
          {
            StringEquals = { "aws:SourceAccount" = "123456789012" }
            ArnLike      = { "aws:SourceArn" = "arn:aws:ecs:eu-west-1:123456789012:*" }
          },
        ]
      ]
    ])
    error_message = "A role trusts tasks of another account."
  }

  assert {
    condition     = length(aws_dynamodb_resource_policy.events) == 0
    error_message = "The policy of the events table is there although it is turned off."
  }
}

run "no_valid_name_no_key_and_alarms_that_nobody_gets_are_refused" {
  command = plan

  variables {
    name_prefix = "Shop_Flow"
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:alias/orders"
    alarms      = true # for no alarm_emails
  }

  expect_failures = [var.name_prefix, var.kms_key_arn, var.alarm_emails]
}
