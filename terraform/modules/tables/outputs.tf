output "tables" {
  description = "The tables orders, inventory and events, each with all its attributes."
  value       = aws_dynamodb_table.this
}

output "open_orders_index" {
  description = "Name of the sparse index of the orders table that holds the orders whose saga is unfinished."
  value       = local.open_orders_index
}

output "events_policy" {
  description = "The events table's own policy, as JSON."
  value       = aws_dynamodb_resource_policy.events.policy
}
