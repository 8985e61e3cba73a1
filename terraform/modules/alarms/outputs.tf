output "topic_arn" {
  description = "ARN of the topic that alarms go to."
  value       = aws_sns_topic.ops.arn
}

output "topic" {
  description = "The topic that alarms go to, with all its attributes."
  value       = aws_sns_topic.ops
}

output "alarms" {
  description = "The alarms by kind, each with all its attributes; those there are several of by service or table."
  value = {
    dlq_not_empty      = aws_cloudwatch_metric_alarm.dlq_not_empty
    oldest_message     = aws_cloudwatch_metric_alarm.oldest_message
    message_expires    = aws_cloudwatch_metric_alarm.message_expires
    throttled_table    = aws_cloudwatch_metric_alarm.throttled_table
    throttled_function = aws_cloudwatch_metric_alarm.throttled_function
    api_errors         = aws_cloudwatch_metric_alarm.api_errors
    api_latency        = aws_cloudwatch_metric_alarm.api_latency
    open_orders_stuck  = aws_cloudwatch_metric_alarm.open_orders_stuck
    relay_republishing = aws_cloudwatch_metric_alarm.relay_republishing
  }
}

output "all_alarms" {
  description = "Every alarm, with all its attributes."
  value       = local.all_alarms
}

output "dashboard" {
  description = "The dashboard, with all its attributes."
  value       = aws_cloudwatch_dashboard.chain
}

output "dashboard_url" {
  description = "Where the dashboard is."
  value       = "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.chain.dashboard_name}"
}

output "subscriptions" {
  description = "The e-mail subscriptions, by address, each with all its attributes."
  value       = aws_sns_topic_subscription.email
}
