output "tables" {
  description = "The tables orders, inventory and events, each with all its attributes."
  value       = aws_dynamodb_table.this
}

output "open_orders_index" {
  description = "Name of the sparse index of the orders table that holds the orders whose saga is unfinished."
  value       = local.open_orders_index
}
