# What each service may do, as a table of actions and resources. The provider is mocked. That the services need exactly
# these rights is tested in tests/iam, which run them.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name_prefix = "stack"
  topic       = "arn:aws:sns:eu-west-1:123456789012:stack-orders"
  orders      = "arn:aws:dynamodb:eu-west-1:123456789012:table/stack-orders"
  open_orders = "arn:aws:dynamodb:eu-west-1:123456789012:table/stack-orders/index/open-orders"
  inventory   = "arn:aws:dynamodb:eu-west-1:123456789012:table/stack-inventory"
  events      = "arn:aws:dynamodb:eu-west-1:123456789012:table/stack-events"
}

run "a_local_aws_may_lack_the_policy_of_the_events_table" {
  variables {
    table_policies = false
  }

  assert {
    condition     = length(aws_dynamodb_resource_policy.events) == 0
    error_message = "The policy is there although it is turned off."
  }
}

run "every_service_has_the_rights_that_it_needs_and_no_others" {
  assert {
    condition = {
      for service, policy in aws_iam_role_policy.service : service => toset(flatten([
        for statement in jsondecode(policy.policy).Statement : [
          for action in flatten([statement.Action]) : "${action} ${statement.Resource}"
        ] if statement.Sid != "CountMessages"
      ]))
      } == {
      for service, rights in {
        order = [
          "dynamodb:PartiQLInsert ${var.orders}", "dynamodb:BatchGetItem ${var.orders}",
          "dynamodb:BatchGetItem ${var.inventory}", "dynamodb:Scan ${var.inventory}",
          "dynamodb:Query ${var.events}",
          "sns:Publish ${var.topic}",
        ]
        relay = [
          "dynamodb:Scan ${var.open_orders}",
          "dynamodb:BatchGetItem ${var.orders}", "dynamodb:PartiQLUpdate ${var.orders}",
          "dynamodb:GetItem ${var.events}",
          "sns:Publish ${var.topic}",
        ]
        inventory = [
          "dynamodb:BatchGetItem ${var.orders}", "dynamodb:PartiQLUpdate ${var.orders}",
          "dynamodb:UpdateItem ${var.orders}",
          "dynamodb:BatchGetItem ${var.inventory}", "dynamodb:UpdateItem ${var.inventory}",
          "sns:Publish ${var.topic}",
        ]
        payment = [
          "dynamodb:BatchGetItem ${var.orders}", "dynamodb:PartiQLUpdate ${var.orders}",
          "sns:Publish ${var.topic}",
        ]
        notification = ["dynamodb:BatchGetItem ${var.orders}", "dynamodb:PartiQLUpdate ${var.orders}"]
        audit        = ["dynamodb:PartiQLInsert ${var.events}"]
        } : service => toset(concat(rights, [
          for action in ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"] :
          "${action} ${module.consumer[service].queue.arn}" if contains(keys(module.consumer), service)
      ]))
    }
    error_message = "A service may do more, or less, than it needs."
  }

  assert {
    condition = {
      for service, policy in aws_iam_role_policy.service : service => [
        for statement in jsondecode(policy.policy).Statement : [statement.Action, toset(statement.Resource)] if statement.Sid == "CountMessages"
      ] if strcontains(policy.policy, "sqs:GetQueueAttributes")
    } == { order = [["sqs:GetQueueAttributes", toset(flatten([for consumer in module.consumer : [consumer.queue.arn, consumer.dlq.arn]]))]] }
    error_message = "The Order Service, and no other, counts the messages of every queue."
  }

  assert {
    condition = alltrue(flatten([
      for policy in concat(values(aws_iam_role_policy.service)[*].policy, [aws_iam_policy.operator.policy]) : [
        !strcontains(policy, "*"),
        [for statement in jsondecode(policy).Statement : [
          statement.Effect == "Allow",
          length(flatten([statement.Resource])) > 0,
          length(flatten([statement.Action])) > 0,
        ]],
      ]
    ]))
    error_message = "A policy has a wildcard, or a statement without actions or resources."
  }

  assert {
    condition = [for statement in jsondecode(aws_dynamodb_resource_policy.events[0].policy).Statement : merge(statement, { Action = sort(statement.Action) })] == [
      {
        Sid       = "KeepEvents"
        Effect    = "Deny"
        Principal = "*"
        Resource  = var.events
        Action = tolist([
          "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PartiQLDelete", "dynamodb:PartiQLUpdate",
          "dynamodb:PutItem", "dynamodb:UpdateItem",
        ])
      }
    ]
    error_message = "The events table does not refuse to change or delete events."
  }

  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_iam_policy.operator.policy).Statement : [
        for pair in setproduct(flatten([statement.Action]), flatten([statement.Resource])) : join(" ", pair)
      ]
      ])) == toset(concat(
      flatten([
        for consumer in module.consumer : [
          "sqs:GetQueueAttributes ${consumer.queue.arn}",
          "sqs:SendMessage ${consumer.queue.arn}",
          "sqs:GetQueueAttributes ${consumer.dlq.arn}",
          "sqs:ReceiveMessage ${consumer.dlq.arn}",
          "sqs:DeleteMessage ${consumer.dlq.arn}",
          "sqs:ChangeMessageVisibility ${consumer.dlq.arn}",
        ]
      ]),
      [
        "dynamodb:BatchGetItem ${var.orders}",
        "dynamodb:BatchGetItem ${var.inventory}",
        "dynamodb:Scan ${var.open_orders}",
        "dynamodb:GetItem ${var.events}",
      ],
    ))
    error_message = "The operator may do more, or less, than the page needs."
  }

  assert {
    condition     = alltrue([for service, role in aws_iam_role.service : role.name == "stack-${service}" && aws_iam_role_policy.service[service].role == role.id])
    error_message = "A policy is on the role of another service."
  }

  assert {
    condition = alltrue([
      for role in aws_iam_role.service : jsondecode(role.assume_role_policy).Statement == [
        { Action = "sts:AssumeRole", Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" } }
      ]
    ])
    error_message = "Something other than Lambda may assume a role."
  }

  assert {
    condition     = aws_iam_role_policy.relay_in_order_service[0].role == aws_iam_role.service["order"].id && aws_iam_role_policy.relay_in_order_service[0].policy == aws_iam_role_policy.service["relay"].policy
    error_message = "The Order Service lacks the rights of the relay, which runs in it."
  }

  assert {
    condition     = length(aws_iam_role_policy_attachment.operator_page) == 0
    error_message = "The Order Service has the rights of an operator without being asked."
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
        contains([for event in values(lookup(var.overlay, "events", {})) : event.producer], service) ? { PublishEvents = var.topic } : {},
      )
    }
    error_message = "A service of an overlay has other rights than those that follow from the catalogue."
  }
}

run "a_role_for_ecs_trusts_tasks_of_its_own_account_only" {
  variables {
    trusted_services = ["ecs-tasks.amazonaws.com"]
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
}

run "an_aws_service_that_runs_no_code_is_not_trusted" {
  command = plan

  variables {
    trusted_services = ["lambda.amazonaws.com", "s3.amazonaws.com"]
  }

  expect_failures = [var.trusted_services]
}
