# What `terraform apply -var-file=aws.tfvars` gives: these tests run with that file. No AWS: the provider is mocked.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "what_is_off_for_a_local_stack_is_on_for_aws" {
  assert {
    condition = alltrue(flatten([
      for table in module.tables.tables : [table.deletion_protection_enabled, one(table.point_in_time_recovery).enabled]
    ]))
    error_message = "A table on AWS can be deleted, or cannot be restored."
  }

  assert {
    condition = alltrue([
      for policy in concat(
        [module.event_bus.topic.policy, module.alarms[0].topic.policy],
        flatten([for consumer in module.consumer : [consumer.queue.policy, consumer.dlq.policy]]),
      ) :
      anytrue([
        for statement in jsondecode(policy).Statement :
        statement.Effect == "Deny" && statement.Principal == "*" && try(statement.Condition.Bool["aws:SecureTransport"], null) == "false"
      ])
    ])
    error_message = "A topic or queue on AWS lets plain HTTP through."
  }

  assert {
    condition     = length(module.alarms) == 1
    error_message = "A stack on AWS has no alarms."
  }
}
