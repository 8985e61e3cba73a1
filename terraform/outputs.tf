output "region" {
  description = "AWS region of every resource."
  value       = local.region
}

output "name_prefix" {
  description = "First part of the name of every resource."
  value       = var.name_prefix
}

output "topic_arn" {
  description = "ARN of the topic that every event is published to."
  value       = aws_sns_topic.orders.arn
}

output "queue_urls" {
  description = "Queue URL of each consuming service."
  value       = { for service, consumer in module.consumer : service => consumer.queue.url }
}

output "dlq_urls" {
  description = "Dead-letter queue URL of each consuming service."
  value       = { for service, consumer in module.consumer : service => consumer.dlq.url }
}

output "orders_table" {
  description = "Name of the table of orders, by orderId."
  value       = aws_dynamodb_table.this["orders"].name
}

output "inventory_table" {
  description = "Name of the table of products and their stock, by productId."
  value       = aws_dynamodb_table.this["inventory"].name
}

output "events_table" {
  description = "Name of the audit log, by orderId and eventId."
  value       = aws_dynamodb_table.this["events"].name
}

output "open_orders_index" {
  description = "Name of the sparse index of open orders in the orders table."
  value       = local.open_orders_index
}

output "catalog_overlay" {
  description = "Path of the overlay of the catalogue; null without one."
  value       = var.catalog_overlay
}

output "payment_gateway" {
  description = "The payment gateway that was asked for (PAYMENT_GATEWAY); null if none was."
  value       = var.payment_gateway
}

output "mail_from" {
  description = "Address that customers get mail from (MAIL_FROM); null if mails go into the log."
  value       = var.mail_from
}

output "ops_token_parameter" {
  description = "Name of the SSM parameter with the operator's token; null without one."
  value       = var.ops_token_parameter
}

output "role_arns" {
  description = "ARN of the role of each service, and of the relay."
  value       = { for service, role in aws_iam_role.service : service => role.arn }
}

output "alarm_topic_arn" {
  description = "ARN of the topic that alarms go to; null without alarms."
  value       = one(aws_sns_topic.ops[*].arn)
}

output "dashboard_url" {
  description = "Address of the dashboard; null without alarms."
  value       = one([for one in aws_cloudwatch_dashboard.this : "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${one.dashboard_name}"])
}

output "api_url" {
  description = "Address of the Order Service; null if it does not run on Lambda."
  value       = one([for api in aws_apigatewayv2_api.orders : var.domain == null ? api.api_endpoint : "https://${var.domain.name}"])
}

output "api_domain_target" {
  description = "What the DNS record of `domain` must point to: an alias with a name and a hosted zone; null without a domain."
  value = one([
    for domain in aws_apigatewayv2_domain_name.orders : {
      name    = domain.domain_name_configuration[0].target_domain_name
      zone_id = domain.domain_name_configuration[0].hosted_zone_id
    }
  ])
}

output "live_versions" {
  description = "The version of each function that is invoked, by service; empty if the services do not run on Lambda."
  value       = { for service, alias in aws_lambda_alias.live : service => alias.function_version }
}
