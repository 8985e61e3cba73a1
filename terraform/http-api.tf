# The HTTP API in front of the Order Service, when that is a function. Every request goes to it.

locals {
  # A route has its own throttle, or shares that of the stage. A request that reaches $default past its route meets the
  # same check in the function, which looks for the claims of the token.
  routes = {
    "$default"                     = null
    "POST /orders"                 = null
    "ANY /ops"                     = var.api_throttles.ops
    "ANY /ops/{proxy+}"            = var.api_throttles.ops
    "GET /orders/{orderId}/stream" = var.api_throttles.streams
    "GET /flow/stream"             = var.api_throttles.streams
  }
}

resource "aws_apigatewayv2_api" "orders" {
  count = local.on_lambda ? 1 : 0

  name          = "${var.name_prefix}-orders"
  description   = "The Order Service"
  protocol_type = "HTTP"

  disable_execute_api_endpoint = var.disable_execute_api_endpoint
}

resource "aws_apigatewayv2_authorizer" "customers" {
  count = local.on_lambda && var.jwt_authorizer != null ? 1 : 0

  name             = "customers"
  api_id           = aws_apigatewayv2_api.orders[0].id
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
    issuer   = var.jwt_authorizer.issuer
    audience = var.jwt_authorizer.audience
  }
}

resource "aws_apigatewayv2_integration" "orders" {
  count = local.on_lambda ? 1 : 0

  api_id                 = aws_apigatewayv2_api.orders[0].id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_alias.live["order"].invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "orders" {
  #checkov:skip=CKV_AWS_309:Reading is public; ordering has an authorizer unless public = true; /ops asks for its own token
  for_each = { for route, throttle in local.routes : route => throttle if local.on_lambda }

  api_id             = aws_apigatewayv2_api.orders[0].id
  route_key          = each.key
  target             = "integrations/${aws_apigatewayv2_integration.orders[0].id}"
  authorization_type = each.key == "POST /orders" && var.jwt_authorizer != null ? "JWT" : "NONE"
  authorizer_id      = each.key == "POST /orders" ? one(aws_apigatewayv2_authorizer.customers[*].id) : null
}

resource "aws_cloudwatch_log_group" "access" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts every log itself
  #checkov:skip=CKV_AWS_338:Nothing here must be kept: the audit log is in DynamoDB
  count = local.on_lambda ? 1 : 0

  name              = "/aws/apigateway/${var.name_prefix}-orders"
  retention_in_days = var.log_retention_days
}

resource "aws_apigatewayv2_stage" "orders" {
  count = local.on_lambda ? 1 : 0

  api_id      = aws_apigatewayv2_api.orders[0].id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    throttling_rate_limit    = var.api_throttles.all.rate
    throttling_burst_limit   = var.api_throttles.all.burst
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
    destination_arn = aws_cloudwatch_log_group.access[0].arn
    format = jsonencode({
      requestId          = "$context.requestId"
      method             = "$context.httpMethod"
      path               = "$context.path"
      status             = "$context.status"
      milliseconds       = "$context.responseLatency"
      integrationError   = "$context.integrationErrorMessage"
      integrationLatency = "$context.integrationLatency"
    })
  }

  depends_on = [aws_apigatewayv2_route.orders] # AWS refuses settings of a route that it does not have
}

resource "aws_apigatewayv2_domain_name" "orders" {
  count = local.on_lambda && var.domain != null ? 1 : 0

  domain_name = var.domain.name

  domain_name_configuration {
    certificate_arn = var.domain.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }
}

resource "aws_apigatewayv2_api_mapping" "orders" {
  count = local.on_lambda && var.domain != null ? 1 : 0

  api_id      = aws_apigatewayv2_api.orders[0].id
  domain_name = aws_apigatewayv2_domain_name.orders[0].id
  stage       = aws_apigatewayv2_stage.orders[0].id
}

resource "aws_lambda_permission" "http_api" {
  count = local.on_lambda ? 1 : 0

  statement_id  = "AllowHttpApi"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_alias.live["order"].function_name
  qualifier     = aws_lambda_alias.live["order"].name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.orders[0].execution_arn}/*" # any stage and route of this API
}
