output "topic" {
  description = "The topic that alarms go to, with all its attributes."
  value       = aws_sns_topic.ops
}

output "alarms" {
  description = "The alarms by name without the prefix, such as payment-dlq-not-empty, each with all its attributes."
  value       = aws_cloudwatch_metric_alarm.this
}

output "dashboard" {
  description = "The dashboard, with all its attributes."
  value       = aws_cloudwatch_dashboard.this
}

output "dashboard_url" {
  description = "Address of the dashboard in the AWS console."
  value       = "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "subscriptions" {
  description = "The e-mail subscriptions, by address, each with all its attributes."
  value       = aws_sns_topic_subscription.email
}
