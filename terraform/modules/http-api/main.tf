# The HTTP API of the Order Service: it sends every request to one function.

locals {
  # A route has its own throttle, or shares that of the stage. A request that reaches $default past its route meets the
  # same check in the function, which looks for the claims of the token.
  routes = {
    "$default"                     = null
    "POST /orders"                 = null
    "ANY /ops"                     = var.throttles.ops
    "ANY /ops/{proxy+}"            = var.throttles.ops
    "GET /orders/{orderId}/stream" = var.throttles.streams
    "GET /flow/stream"             = var.throttles.streams
  }

  access_log_fields = {
    requestId          = "$context.requestId"
    method             = "$context.httpMethod"
    path               = "$context.path"
    status             = "$context.status"
    milliseconds       = "$context.responseLatency"
    integrationError   = "$context.integrationErrorMessage"
    integrationLatency = "$context.integrationLatency"
  }
}

resource "aws_apigatewayv2_api" "this" {
  name          = var.name
  description   = "The Order Service"
  protocol_type = "HTTP"

  disable_execute_api_endpoint = var.disable_execute_api_endpoint
}

resource "aws_apigatewayv2_authorizer" "customers" {
  count = var.jwt_authorizer == null ? 0 : 1

  name             = "customers"
  api_id           = aws_apigatewayv2_api.this.id
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
    issuer   = var.jwt_authorizer.issuer
    audience = var.jwt_authorizer.audience
  }
}

resource "aws_apigatewayv2_integration" "this" {
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_uri        = var.function.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "this" {
  #checkov:skip=CKV_AWS_309:Reading is public; ordering has an authorizer unless public = true; /ops asks for its own token
  for_each = local.routes

  api_id             = aws_apigatewayv2_api.this.id
  route_key          = each.key
  target             = "integrations/${aws_apigatewayv2_integration.this.id}"
  authorization_type = each.key == "POST /orders" && var.jwt_authorizer != null ? "JWT" : "NONE"
  authorizer_id      = each.key == "POST /orders" ? one(aws_apigatewayv2_authorizer.customers[*].id) : null
}

resource "aws_cloudwatch_log_group" "access" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts every log itself
  #checkov:skip=CKV_AWS_338:Nothing here must be kept: the audit log is in DynamoDB
  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_apigatewayv2_stage" "this" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    throttling_rate_limit    = var.throttles.all.rate
    throttling_burst_limit   = var.throttles.all.burst
    detailed_metrics_enabled = true
  }

  dynamic "route_settings" {
    for_each = { for route, throttle in local.routes : route => throttle if throttle != null }

    content {
      route_key                = route_settings.key
      throttling_rate_limit    = route_settings.value.rate
      throttling_burst_limit   = route_settings.value.burst
      detailed_metrics_enabled = true
    }
  }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format          = jsonencode(local.access_log_fields)
  }

  depends_on = [aws_apigatewayv2_route.this] # AWS refuses settings of a route that it does not have
}

resource "aws_apigatewayv2_domain_name" "this" {
  count = var.domain == null ? 0 : 1

  domain_name = var.domain.name

  domain_name_configuration {
    certificate_arn = var.domain.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }
}

resource "aws_apigatewayv2_api_mapping" "this" {
  count = var.domain == null ? 0 : 1

  api_id      = aws_apigatewayv2_api.this.id
  domain_name = aws_apigatewayv2_domain_name.this[0].id
  stage       = aws_apigatewayv2_stage.this.id
}

resource "aws_lambda_permission" "this" {
  statement_id  = "AllowHttpApi"
  action        = "lambda:InvokeFunction"
  function_name = var.function.function_name
  qualifier     = var.function.name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this.execution_arn}/*" # any stage and route of this API
}
