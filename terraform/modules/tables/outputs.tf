output "tables" {
  description = "The tables orders, inventory and events, each with all its attributes."
  value       = aws_dynamodb_table.this
}

output "open_orders_index" {
  description = "Name of the sparse index of open orders in the orders table."
  value       = local.open_orders_index
}

output "events_policy" {
  description = "The resource policy of the events table, as JSON; null without one."
  value       = one(aws_dynamodb_resource_policy.events[*].policy)
}
