# For the variables ROLE_ARN, STATE_BUCKET and PERMISSIONS_BOUNDARY_ARN in GitHub. You choose AWS_REGION and ALARM_EMAILS.

output "state_bucket" {
  description = "Name of the bucket with Terraform's state."
  value       = aws_s3_bucket.state.bucket
}

output "role_arns" {
  description = "ARNs of the roles that plan and apply, for the variable ROLE_ARN of GitHub's environments."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}

output "permissions_boundary_arn" {
  description = "ARN of the boundary that roles of a stack must have, for the variable permissions_boundary_arn."
  value       = aws_iam_policy.boundary.arn
}
