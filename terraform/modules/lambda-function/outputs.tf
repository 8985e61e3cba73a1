output "function" {
  description = "The function, with all its attributes."
  value       = aws_lambda_function.this
}

output "alias" {
  description = "The alias of the version that is invoked, with all its attributes."
  value       = aws_lambda_alias.live
}

output "checks" {
  description = "The invocation that the newest version had to answer before it got the alias; empty without one."
  value       = aws_lambda_invocation.check
}

output "log_group" {
  description = "The function's log group, with all its attributes."
  value       = aws_cloudwatch_log_group.this
}
