# One function out of the package that holds all services, and the group that its log goes to.

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts every log itself
  #checkov:skip=CKV_AWS_338:What must be kept is in the audit log, not here
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:Traces are OpenTelemetry's, carried by the messages themselves
  #checkov:skip=CKV_AWS_115:The event-source mapping and the API's throttle bound concurrency; to reserve it takes it from others
  #checkov:skip=CKV_AWS_116:A failed message goes to its queue's own dead-letter queue; what a failed sweep misses, the next finds
  #checkov:skip=CKV_AWS_117:Calls only AWS's public endpoints, over TLS, and listens to nothing
  #checkov:skip=CKV_AWS_173:Encrypted by the key that AWS keeps for Lambda
  #checkov:skip=CKV_AWS_272:Packages are taken by their hashes; a signing profile is the account's, not the stack's
  function_name    = var.name
  description      = var.description
  role             = var.role_arn
  runtime          = var.runtime
  architectures    = [var.architecture]
  handler          = var.handler
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  memory_size      = var.memory_mb
  timeout          = var.timeout_seconds

  environment {
    variables = var.environment
  }

  logging_config {
    log_format = "Text" # the services write JSON themselves
    log_group  = aws_cloudwatch_log_group.this.name
  }
}
