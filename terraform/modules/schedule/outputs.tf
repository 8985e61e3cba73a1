output "rule" {
  description = "The rule, with all its attributes."
  value       = aws_cloudwatch_event_rule.this
}
