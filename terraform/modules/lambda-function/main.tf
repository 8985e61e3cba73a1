# One function from the package that holds all services, and its log group.
#
# What invokes the function invokes its alias. An apply publishes a version, invokes it once, and moves the alias to it
# only if it answered: a version that cannot read its settings, or cannot be imported, never gets a message.

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts every log itself
  #checkov:skip=CKV_AWS_338:Nothing here must be kept: the audit log is in DynamoDB
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:Traces are OpenTelemetry's; the messages carry their context
  #checkov:skip=CKV_AWS_115:The event-source mapping and the API's throttle bound concurrency; an account may have none to reserve
  #checkov:skip=CKV_AWS_116:A failed message goes to the DLQ of its queue; the next sweep finds what a failed one missed
  #checkov:skip=CKV_AWS_117:It calls only public endpoints of AWS, over TLS, and listens on no port
  #checkov:skip=CKV_AWS_173:Encrypted with the AWS-managed key of Lambda
  #checkov:skip=CKV_AWS_272:The package is identified by its hash; a signing profile belongs to the account, not to the stack
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
  publish          = true

  reserved_concurrent_executions = coalesce(var.reserved_concurrency, -1) # -1: what the account has left

  environment {
    variables = var.environment
  }

  logging_config {
    log_format = "Text" # the services write JSON themselves
    log_group  = aws_cloudwatch_log_group.this.name
  }
}

resource "aws_lambda_invocation" "check" {
  count = var.check_event == null ? 0 : 1

  function_name = aws_lambda_function.this.function_name
  qualifier     = aws_lambda_function.this.version
  input         = var.check_event
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that is invoked"
  function_name    = aws_lambda_function.this.function_name
  function_version = coalesce(var.pinned_version, aws_lambda_function.this.version)

  depends_on = [aws_lambda_invocation.check]
}
