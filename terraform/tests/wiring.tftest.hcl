# Topic, queues and tables, compared with schemas/catalog.json. The provider is mocked; every mocked ARN is unique.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name_prefix = "stack"
  catalogue   = jsondecode(file("../schemas/catalog.json"))
}

run "the_resources_are_those_that_the_catalogue_and_the_services_need" {
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
}

run "a_prefix_that_makes_no_valid_name_is_refused" {
  command = plan

  variables {
    name_prefix = "Shop_Flow"
  }

  expect_failures = [var.name_prefix]
}
