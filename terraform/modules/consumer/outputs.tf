output "queue" {
  description = "The queue, with all its attributes."
  value       = aws_sqs_queue.this
}

output "dlq" {
  description = "The dead-letter queue, with all its attributes."
  value       = aws_sqs_queue.dlq
}

output "subscription" {
  description = "The queue's subscription to the topic, with all its attributes."
  value       = aws_sns_topic_subscription.this
}
