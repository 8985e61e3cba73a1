output "function" {
  description = "The function, with all its attributes."
  value       = aws_lambda_function.this
}

output "log_group" {
  description = "The function's log group, with all its attributes."
  value       = aws_cloudwatch_log_group.this
}
