locals {
  catalog = jsondecode(file("${path.module}/../schemas/catalog.json"))
  overlay = jsondecode(var.catalog_overlay == null ? "{}" : file(var.catalog_overlay))

  all_services = merge(local.catalog.services, lookup(local.overlay, "services", {}))
  all_events   = merge(local.catalog.events, lookup(local.overlay, "events", {}))

  # The services that have a queue, each with the event types it consumes.
  consumers = { for name, service in local.all_services : name => service.consumes if length(service.consumes) > 0 }

  # The relay publishes for all of them. It produces no events of its own, so it is not in the catalogue.
  publishers = setunion([for event in local.all_events : event.producer], ["relay"])
  services   = setunion(keys(local.all_services), ["relay"])

  # The parts of ARNs.
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.name
  account_id = data.aws_caller_identity.current.account_id
  here       = "${local.region}:${local.account_id}"
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

module "consumer" {
  source   = "./modules/consumer"
  for_each = local.consumers

  name        = "${var.name_prefix}-${each.key}"
  topic_arn   = aws_sns_topic.orders.arn
  event_types = contains(each.value, "*") ? null : each.value
  kms_key_arn = var.kms_key_arn
  require_tls = var.require_tls

  # AWS's rule for queues that Lambda polls: six times the function's timeout, and at least five receives. Lambda may
  # receive a message and then be refused its execution.
  visibility_seconds = local.on_lambda ? 6 * local.worker_seconds : 60
  max_receives       = local.on_lambda ? 5 : 3
}

# What holds data was in modules of its own before.

moved {
  from = module.event_bus.aws_sns_topic.this
  to   = aws_sns_topic.orders
}

moved {
  from = module.tables.aws_dynamodb_table.this
  to   = aws_dynamodb_table.this
}

moved {
  from = module.tables.aws_dynamodb_resource_policy.events
  to   = aws_dynamodb_resource_policy.events
}
