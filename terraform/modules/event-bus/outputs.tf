output "topic" {
  description = "The topic, with all its attributes."
  value       = aws_sns_topic.this
}
