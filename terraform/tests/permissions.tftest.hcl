# Who may assume a role, and rights that depend on variables. The provider is mocked. tests/iam runs the services, and
# shows that each role has exactly the rights that its service uses.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name_prefix = "stack"
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

run "nobody_changes_an_event_only_lambda_has_a_role_and_no_service_is_an_operator" {
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
