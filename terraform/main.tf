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

  region = data.aws_region.current.name
}

data "aws_region" "current" {}

module "event_bus" {
  source = "./modules/event-bus"

  name        = "${var.name_prefix}-orders"
  kms_key_arn = var.kms_key_arn
  require_tls = var.require_tls
}

module "consumer" {
  source   = "./modules/consumer"
  for_each = local.consumers

  name        = "${var.name_prefix}-${each.key}"
  topic_arn   = module.event_bus.topic.arn
  event_types = contains(each.value, "*") ? null : each.value
  kms_key_arn = var.kms_key_arn
  require_tls = var.require_tls

  # AWS's rule for queues that Lambda polls: six times the function's timeout, and at least five receives. Lambda may
  # receive a message and then be refused its execution.
  visibility_seconds = local.on_lambda ? 6 * local.worker_seconds : 60
  max_receives       = local.on_lambda ? 5 : 3
}

module "tables" {
  source = "./modules/tables"

  name_prefix            = var.name_prefix
  kms_key_arn            = var.kms_key_arn
  point_in_time_recovery = var.point_in_time_recovery
  deletion_protection    = var.deletion_protection
  policies               = var.table_policies
}

module "alarms" {
  source = "./modules/alarms"
  count  = var.alarms ? 1 : 0

  name_prefix       = var.name_prefix
  region            = local.region
  topic_name        = module.event_bus.topic.name
  consumers         = { for service, consumer in module.consumer : service => { queue = consumer.queue.name, dlq = consumer.dlq.name } }
  tables            = { for name, table in module.tables.tables : name => table.name }
  open_orders_index = module.tables.open_orders_index
  functions         = { for service, one in module.function : service => one.function.function_name }
  http_api_ids      = module.http_api[*].api.id
  services_run      = coalesce(var.service_alarms, local.on_lambda)
  thresholds        = var.alarm_thresholds
  emails            = var.alarm_emails
  kms_key_arn       = var.kms_key_arn
  require_tls       = var.require_tls
}
