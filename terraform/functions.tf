# The services as Lambda functions, all from one package, each with its log group.
#
# What invokes a function invokes its alias. An apply publishes a new version of each function, invokes it once, and moves
# the aliases only if all answered: a version that cannot read its settings, or cannot be imported, never gets a message.

locals {
  lambda_package = coalesce(var.lambda_package, "${path.module}/../.local/package/lambda.zip")
}

resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts every log itself
  #checkov:skip=CKV_AWS_338:Nothing here must be kept: the audit log is in DynamoDB
  for_each = local.functions

  name              = "/aws/lambda/${var.name_prefix}-${each.key}"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:Traces are OpenTelemetry's; the messages carry their context
  #checkov:skip=CKV_AWS_115:The event-source mapping and the API's throttle bound concurrency; an account may have none to reserve
  #checkov:skip=CKV_AWS_116:A failed message goes to the DLQ of its queue; the next sweep finds what a failed one missed
  #checkov:skip=CKV_AWS_117:It calls only public endpoints of AWS, over TLS, and listens on no port
  #checkov:skip=CKV_AWS_173:Encrypted with the AWS-managed key of Lambda
  #checkov:skip=CKV_AWS_272:The package is identified by its hash; a signing profile belongs to the account, not to the stack
  for_each = local.functions

  function_name    = "${var.name_prefix}-${each.key}"
  description      = "ShopFlow: ${each.value.description}"
  role             = aws_iam_role.service[each.key].arn
  runtime          = var.lambda_runtime
  architectures    = [var.lambda_architecture]
  handler          = each.value.handler
  filename         = local.lambda_package
  source_code_hash = filebase64sha256(local.lambda_package)
  memory_size      = var.lambda_memory_mb
  timeout          = each.value.timeout_seconds
  publish          = true

  reserved_concurrent_executions = coalesce(lookup(var.reserved_concurrency, each.key, null), -1) # -1: what the account has left

  environment {
    variables = merge(local.common_environment, each.value.environment, lookup(var.service_settings, each.key, {}))
  }

  logging_config {
    log_format = "Text" # the services write JSON themselves
    log_group  = aws_cloudwatch_log_group.function[each.key].name
  }
}

resource "aws_lambda_invocation" "check" {
  for_each = { for name, function in local.functions : name => function.check_event if function.check_event != null }

  function_name = aws_lambda_function.this[each.key].function_name
  qualifier     = aws_lambda_function.this[each.key].version
  input         = each.value
}

resource "aws_lambda_alias" "live" {
  for_each = local.functions

  name             = "live"
  description      = "The version that is invoked"
  function_name    = aws_lambda_function.this[each.key].function_name
  function_version = lookup(var.pinned_versions, each.key, aws_lambda_function.this[each.key].version)

  depends_on = [aws_lambda_invocation.check]
}
