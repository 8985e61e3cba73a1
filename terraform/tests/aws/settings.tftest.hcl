# What `terraform apply -var-file=aws.tfvars` creates: this test runs with that file. The provider is mocked.

mock_provider "aws" {
  source = "./tests/mocks"
}

# The guard would refuse the removal after the test.
override_resource {
  target = terraform_data.teardown
  values = { output = false }
}

variables {
  alarm_emails = ["ops@example.com"]
}

run "a_stack_on_aws_is_protected_and_watched" {
  assert {
    condition = alltrue(flatten([
      for table in aws_dynamodb_table.this : [table.deletion_protection_enabled, one(table.point_in_time_recovery).enabled]
    ]))
    error_message = "A table on AWS can be deleted, or cannot be restored."
  }

  assert {
    condition = alltrue([
      for policy in concat(
        [aws_sns_topic.orders.policy, aws_sns_topic.ops[0].policy],
        flatten([for consumer in module.consumer : [consumer.queue.policy, consumer.dlq.policy]]),
      ) :
      anytrue([
        for statement in jsondecode(policy).Statement :
        statement.Effect == "Deny" && statement.Principal == "*" && try(statement.Condition.Bool["aws:SecureTransport"], null) == "false"
      ])
    ])
    error_message = "A topic or queue on AWS accepts plain HTTP."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) > 0
    error_message = "A stack on AWS has no alarms."
  }
}
