# Who hears what, checked against the catalogue as it stands: schemas/catalog.json is read here once more.
# No AWS: the provider is mocked. It makes up a text of its own for every queue's ARN, so no two can be confused.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name_prefix = "stack"
  catalogue   = jsondecode(file("../schemas/catalog.json"))
}

run "every_service_hears_what_the_catalogue_says" {
  assert {
    condition = toset(keys(module.consumer)) == toset([
      for service, entry in var.catalogue.services : service if length(entry.consumes) > 0
    ])
    error_message = "The services that have a queue are not those that consume something in the catalogue."
  }

  assert {
    condition = alltrue([
      for service, consumer in module.consumer : consumer.subscription.filter_policy == (
        contains(var.catalogue.services[service].consumes, "*")
        ? null
        : jsonencode({ eventType = var.catalogue.services[service].consumes })
      )
    ])
    error_message = "A filter policy is not what the catalogue says."
  }

  assert {
    condition = alltrue([
      for consumer in module.consumer :
      consumer.subscription.topic_arn == module.event_bus.topic.arn
      && consumer.subscription.endpoint == consumer.queue.arn
      && consumer.subscription.raw_message_delivery
    ])
    error_message = "A queue does not get the topic's raw messages."
  }
}

run "every_queue_moves_a_message_to_its_own_dlq_after_three_receives" {
  assert {
    condition = alltrue([
      for consumer in module.consumer : jsondecode(consumer.queue.redrive_policy) == {
        deadLetterTargetArn = consumer.dlq.arn
        maxReceiveCount     = 3
      }
    ])
    error_message = "A queue does not move its messages to its own DLQ after three receives."
  }

  assert {
    condition = alltrue([
      for consumer in module.consumer : jsondecode(consumer.subscription.redrive_policy).deadLetterTargetArn == consumer.dlq.arn
    ])
    error_message = "A subscription does not move what it cannot deliver to its queue's DLQ."
  }

  assert {
    condition = alltrue([
      for consumer in module.consumer :
      jsondecode(consumer.dlq.redrive_allow_policy).redrivePermission == "byQueue"
      && [for arn in jsondecode(consumer.dlq.redrive_allow_policy).sourceQueueArns : reverse(split(":", arn))[0]] == [consumer.queue.name]
    ])
    error_message = "A DLQ takes messages from other queues than its own."
  }

  assert {
    condition     = length(toset(flatten([for consumer in module.consumer : [consumer.queue.name, consumer.dlq.name]]))) == 2 * length(module.consumer)
    error_message = "Two queues share a name."
  }

  assert {
    condition     = alltrue([for consumer in module.consumer : [consumer.queue.message_retention_seconds, consumer.dlq.message_retention_seconds] == [604800, 1209600]])
    error_message = "A queue keeps a message for other than 7 days or its DLQ for other than 14: a message keeps its age when it moves."
  }
}

run "every_name_begins_with_the_prefix" {
  assert {
    condition = alltrue([
      for name in concat(
        [module.event_bus.topic.name],
        flatten([for consumer in module.consumer : [consumer.queue.name, consumer.dlq.name]]),
        [for table in module.tables.tables : table.name],
      ) : startswith(name, "stack-")
    ])
    error_message = "A name without the prefix: a second stack would collide with it."
  }
}

run "a_prefix_that_makes_no_valid_name_is_refused" {
  command = plan

  variables {
    name_prefix = "Shop_Flow"
  }

  expect_failures = [var.name_prefix]
}
