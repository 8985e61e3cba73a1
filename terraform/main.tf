locals {
  catalog = jsondecode(file("${path.module}/../schemas/catalog.json"))
  overlay = var.catalog_overlay == null ? { services = {} } : jsondecode(file(var.catalog_overlay))

  # The services that have a queue, each with the event types it consumes.
  consumers = {
    for name, service in merge(local.catalog.services, local.overlay.services) : name => service.consumes
    if length(service.consumes) > 0
  }
}

module "event_bus" {
  source = "./modules/event-bus"

  name              = "${var.name_prefix}-orders"
  kms_master_key_id = var.topic_kms_key_id
  require_tls       = var.require_tls
}

module "consumer" {
  source   = "./modules/consumer"
  for_each = local.consumers

  name        = "${var.name_prefix}-${each.key}"
  topic_arn   = module.event_bus.topic.arn
  event_types = contains(each.value, "*") ? null : each.value
  require_tls = var.require_tls
}

module "tables" {
  source = "./modules/tables"

  name_prefix            = var.name_prefix
  point_in_time_recovery = var.point_in_time_recovery
  deletion_protection    = var.deletion_protection
}
